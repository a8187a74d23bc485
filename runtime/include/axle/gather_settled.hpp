// gather_settled: several tasks at once, and what became of each; none is cancelled because another fails.
// (JavaScript's Promise.allSettled, asyncio's gather with return_exceptions.)
#pragma once

#include <cstddef>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include <axle/detail/family.hpp>
#include <axle/outcome.hpp>
#include <axle/spawn.hpp>
#include <axle/task.hpp>

namespace axle {

namespace detail {

class settled_family : public family {
 public:
  settled_family() noexcept : family(told, kind_of) {}

 private:
  // When the parent is being cancelled, a failure still reaches it, and so does what was complete without the cancel.
  static void told(family& of, child_task& ended) noexcept {
    auto& mine = static_cast<settled_family&>(of);
    mine.failed_ |= ended.how == ending::error;
    mine.cut_ |= ended.how == ending::cancelled;
    if (mine.all_ended()) mine.wake_parent(mine.failed_ || !mine.cut_);
  }
  static constexpr wait_kind kind_of = {nullptr, cancel_all, "gather_settled", whom};

  bool failed_ = false;
  bool cut_ = false;
};

template <class... Ts>
class [[nodiscard("nothing happens until it is awaited: co_await it")]] settled_await : settled_family {
 public:
  explicit settled_await(task<Ts>&&... tasks) noexcept : children_{child_task(tasks.release())...} {}

  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    need_task("gather_settled");
    start_all(children_, sizeof...(Ts));
    suspend(h);
  }
  std::tuple<outcome<Ts>...> await_resume() {
    throw_if_cut();
    return take(std::index_sequence_for<Ts...>());
  }

 private:
  template <std::size_t... I>
  std::tuple<outcome<Ts>...> take(std::index_sequence<I...>) {
    return {outcome_of<Ts>(children_[I])...};
  }
  child_task children_[sizeof...(Ts)];
};

template <class T>
class [[nodiscard("nothing happens until it is awaited: co_await it")]] settled_range_await : settled_family {
 public:
  explicit settled_range_await(std::vector<task<T>> tasks) : count_(tasks.size()) {
    children_ = std::make_unique<child_task[]>(count_);
    for (std::size_t i = 0; i < count_; ++i) children_[i].frame = tasks[i].release();
  }

  bool await_ready() const noexcept { return count_ == 0; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    need_task("gather_settled");
    start_all(children_.get(), count_);
    suspend(h);
  }
  std::vector<outcome<T>> await_resume() {
    throw_if_cut();
    std::vector<outcome<T>> became;
    became.reserve(count_);
    for (std::size_t i = 0; i < count_; ++i) became.push_back(outcome_of<T>(children_[i]));
    return became;
  }

 private:
  std::size_t count_;
  std::unique_ptr<child_task[]> children_;
};

}  // namespace detail

/// `auto [a, b] = co_await gather_settled(f(), g());` a tuple of outcomes.
template <class... Ts>
  requires(sizeof...(Ts) > 0)
detail::settled_await<Ts...> gather_settled(task<Ts>... tasks) noexcept {
  return detail::settled_await<Ts...>(std::move(tasks)...);
}

/// The outcomes of a vector of tasks, in its order.
template <class T>
detail::settled_range_await<T> gather_settled(std::vector<task<T>> tasks) {
  return detail::settled_range_await<T>(std::move(tasks));
}

}  // namespace axle
