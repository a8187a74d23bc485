// gather: several tasks at once, all results together.
//
// Children start in the order given, behind what is ready now. The first failure cancels the others; gather returns
// when every one has ended, and throws that exception, or an exception_group of all that failed. A child that was
// cancelled from elsewhere makes gather throw `cancelled`.
#pragma once

#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <axle/detail/family.hpp>
#include <axle/task.hpp>

namespace axle {

namespace detail {

/// What stands for a task's value in a tuple, vector or variant.
template <class T>
using element = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
element<T> take_from(child_task& child) {
  if constexpr (std::is_void_v<T>) {
    typed<T>(child.frame).promise().take();
    return {};
  } else {
    return typed<T>(child.frame).promise().take();
  }
}

class gather_family : public family {
 public:
  gather_family() noexcept : family(told, kind_of) {}

 protected:
  void check(child_task* children, std::size_t count) const {
    throw_if_cut();
    failures failed;
    bool cut = false;
    for (std::size_t i = 0; i < count; ++i) {
      failed.add(children[i].error());
      cut |= children[i].how == ending::cancelled;
    }
    failed.rethrow_if_any();
    if (cut) throw cancelled();
  }

 private:
  static void told(family& of, child_task& ended) noexcept {
    auto& mine = static_cast<gather_family&>(of);
    if (ended.how == ending::error) {
      mine.failed_ = true;
      mine.cancel_children();
    } else if (ended.how == ending::cancelled) {
      mine.cut_ = true;
      mine.cancel_children();
    }
    if (mine.all_ended()) mine.wake_parent(mine.failed_ || !mine.cut_);
  }
  static constexpr wait_kind kind_of = {nullptr, cancel_all, "gather", whom};

  bool failed_ = false;
  bool cut_ = false;
};

template <class... Ts>
class [[nodiscard("nothing happens until it is awaited: co_await it")]] gather_await : gather_family {
 public:
  explicit gather_await(task<Ts>&&... tasks) noexcept : children_{child_task(tasks.release())...} {}

  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    need_task("gather");
    start_all(children_, sizeof...(Ts));
    suspend(h);
  }
  std::tuple<element<Ts>...> await_resume() {
    check(children_, sizeof...(Ts));
    return take(std::index_sequence_for<Ts...>());
  }

 private:
  template <std::size_t... I>
  std::tuple<element<Ts>...> take(std::index_sequence<I...>) {
    return {take_from<Ts>(children_[I])...};
  }
  child_task children_[sizeof...(Ts)];
};

template <class T>
class [[nodiscard("nothing happens until it is awaited: co_await it")]] gather_range_await : gather_family {
 public:
  explicit gather_range_await(std::vector<task<T>> tasks) : count_(tasks.size()) {
    children_ = std::make_unique<child_task[]>(count_);
    for (std::size_t i = 0; i < count_; ++i) children_[i].frame = tasks[i].release();
  }

  bool await_ready() const noexcept { return count_ == 0; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    need_task("gather");
    start_all(children_.get(), count_);
    suspend(h);
  }
  std::conditional_t<std::is_void_v<T>, void, std::vector<element<T>>> await_resume() {
    check(children_.get(), count_);
    if constexpr (!std::is_void_v<T>) {
      std::vector<element<T>> values;
      values.reserve(count_);
      for (std::size_t i = 0; i < count_; ++i) values.push_back(take_from<T>(children_[i]));
      return values;
    }
  }

 private:
  std::size_t count_;
  std::unique_ptr<child_task[]> children_;
};

}  // namespace detail

/// `auto [a, b] = co_await gather(f(), g());` A void task gives a std::monostate.
template <class... Ts>
  requires(sizeof...(Ts) > 0)
detail::gather_await<Ts...> gather(task<Ts>... tasks) noexcept {
  return detail::gather_await<Ts...>(std::move(tasks)...);
}

/// All values of a vector of tasks, in its order; nothing for void tasks.
template <class T>
detail::gather_range_await<T> gather(std::vector<task<T>> tasks) {
  return detail::gather_range_await<T>(std::move(tasks));
}

}  // namespace axle
