// first_of: several tasks at once, the first one's result; the others are cancelled and awaited.
//
// "First" is the first to end with a value or an exception. If others fail while they are being cancelled, their
// exceptions are thrown too: a loser's failure is not lost. (JavaScript's Promise.race, but nobody runs on.)
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include <axle/detail/family.hpp>
#include <axle/gather.hpp>
#include <axle/task.hpp>

namespace axle {

/// Which task was first, counted from 0, and its value.
template <class... Ts>
struct first_result {
  std::size_t index;
  std::variant<detail::element<Ts>...> value;
};

/// The same for tasks of one type.
template <class T>
struct first_of_range_result {
  std::size_t index;
  detail::element<T> value;
};

namespace detail {

class first_family : public family {
 public:
  first_family() noexcept : family(told, kind_of) {}

 protected:
  /// The winner's number; throws what there is to throw.
  std::size_t settle(child_task* children, std::size_t count) const {
    throw_if_cut();
    failures failed;
    for (std::size_t i = 0; i < count; ++i) failed.add(children[i].error());
    failed.rethrow_if_any();
    if (!winner_) throw cancelled();
    return static_cast<std::size_t>(winner_ - children);
  }

 private:
  static void told(family& of, child_task& ended) noexcept {
    auto& mine = static_cast<first_family&>(of);
    if (ended.how == ending::error) mine.failed_ = true;
    if (ended.how == ending::value && !mine.winner_) mine.winner_ = &ended;
    if (ended.how != ending::cancelled) mine.cancel_children();
    if (mine.all_ended()) mine.wake_parent(mine.failed_ || mine.winner_);
  }
  static void any_of(const wait_node& node, wait_edges& into) {
    whom(node, into);
    into.any_will_do = true;
  }
  static constexpr wait_kind kind_of = {nullptr, cancel_all, "first_of", any_of};

  child_task* winner_ = nullptr;
  bool failed_ = false;
};

template <class... Ts>
class [[nodiscard("nothing happens until it is awaited: co_await it")]] first_of_await : first_family {
 public:
  explicit first_of_await(task<Ts>&&... tasks) noexcept : children_{child_task(tasks.release())...} {}

  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    need_task("first_of");
    start_all(children_, sizeof...(Ts));
    suspend(h);
  }
  first_result<Ts...> await_resume() {
    return take(settle(children_, sizeof...(Ts)), std::index_sequence_for<Ts...>());
  }

 private:
  using value_type = std::variant<element<Ts>...>;
  template <std::size_t... I>
  first_result<Ts...> take(std::size_t winner, std::index_sequence<I...>) {
    using taker = value_type (*)(child_task&);
    static constexpr taker takers[] = {
        [](child_task& child) { return value_type(std::in_place_index<I>, take_from<Ts>(child)); }...};
    return {winner, takers[winner](children_[winner])};
  }
  child_task children_[sizeof...(Ts)];
};

template <class T>
class [[nodiscard("nothing happens until it is awaited: co_await it")]] first_of_range_await : first_family {
 public:
  explicit first_of_range_await(std::vector<task<T>> tasks) : count_(tasks.size()) {
    AXLE_CHECK(count_ > 0, "first_of of no tasks would wait for ever");
    children_ = std::make_unique<child_task[]>(count_);
    for (std::size_t i = 0; i < count_; ++i) children_[i].frame = tasks[i].release();
  }

  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    need_task("first_of");
    start_all(children_.get(), count_);
    suspend(h);
  }
  first_of_range_result<T> await_resume() {
    const std::size_t winner = settle(children_.get(), count_);
    return {winner, take_from<T>(children_[winner])};
  }

 private:
  std::size_t count_;
  std::unique_ptr<child_task[]> children_;
};

}  // namespace detail

/// `auto [index, value] = co_await first_of(f(), g());`
template <class... Ts>
  requires(sizeof...(Ts) > 0)
detail::first_of_await<Ts...> first_of(task<Ts>... tasks) noexcept {
  return detail::first_of_await<Ts...>(std::move(tasks)...);
}

/// The first of a vector of tasks, which must not be empty.
template <class T>
detail::first_of_range_await<T> first_of(std::vector<task<T>> tasks) {
  return detail::first_of_range_await<T>(std::move(tasks));
}

}  // namespace axle
