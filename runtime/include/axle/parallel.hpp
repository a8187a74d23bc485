// Many things to do, so many at a time: gather with a limit, parallel_for_each.
//
// `limit` workers take one thing after the other, so what waits for its turn costs nothing but its place in the range. The
// first failure ends all, as in gather: nothing further is begun.
#pragma once

#include <cstddef>
#include <functional>
#include <iterator>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include <axle/gather.hpp>
#include <axle/task.hpp>

namespace axle {

/// How many of a number of tasks may be under way at once.
struct at_most {
  std::size_t count;
};

namespace detail {

template <class Iterator, class End, class F>
task<> work_off(Iterator& next, const End& end, F& f) {
  while (next != end) {
    // Taken before the wait: the other workers go on from the next.
    auto&& item = *next;
    ++next;
    co_await std::invoke(f, std::forward<decltype(item)>(item));
  }
}

inline void check_limit(at_most limit) noexcept {
  AXLE_CHECK(limit.count > 0, "at_most{0}: nothing would ever be done");
}

template <class T>
task<> work_off_tasks(std::vector<task<T>>& tasks, std::size_t& next,
                      std::vector<std::optional<element<T>>>& values) {
  while (next != tasks.size()) {
    const std::size_t mine = next++;
    if constexpr (std::is_void_v<T>) {
      co_await std::move(tasks[mine]);
    } else {
      values[mine].emplace(co_await std::move(tasks[mine]));
    }
  }
}

}  // namespace detail

/// f(item), which returns a task, for every item of a range, at most `limit` at a time. The range must outlive the call.
template <std::ranges::input_range Range, class F>
task<> parallel_for_each(Range& range, at_most limit, F f) {
  auto next = std::ranges::begin(range);
  const auto end = std::ranges::end(range);
  detail::check_limit(limit);
  std::vector<task<>> workers;
  for (std::size_t i = 0; i < limit.count; ++i) {
    if constexpr (std::ranges::sized_range<Range>)
      if (i >= std::ranges::size(range)) break;
    workers.push_back(detail::work_off(next, end, f));
  }
  co_await gather(std::move(workers));
}

/// As gather(tasks), at most `limit` at a time.
template <class T>
task<std::conditional_t<std::is_void_v<T>, void, std::vector<detail::element<T>>>> gather(
    at_most limit, std::vector<task<T>> tasks) {
  std::size_t next = 0;
  std::vector<std::optional<detail::element<T>>> values(std::is_void_v<T> ? 0 : tasks.size());
  detail::check_limit(limit);
  std::vector<task<>> workers;
  for (std::size_t i = 0; i < limit.count && i < tasks.size(); ++i)
    workers.push_back(detail::work_off_tasks(tasks, next, values));
  co_await gather(std::move(workers));
  if constexpr (!std::is_void_v<T>) {
    std::vector<detail::element<T>> all;
    all.reserve(values.size());
    for (auto& each : values) all.push_back(std::move(*each));
    co_return all;
  }
}

}  // namespace axle
