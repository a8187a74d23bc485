// owning_task<T>: a task whose coroutine owns all it uses, checked when it is compiled. The idea is folly's safe_task.
//
//     owning_task<int> count(std::string text);        // fine: by value
//     owning_task<int> count(const std::string& text); // does not compile: the text may be gone before the task runs
//     auto f = [x]() -> owning_task<int> { ... };      // does not compile: the task does not keep the lambda alive (and
//                                                      // what a lambda captures is not known while its body is compiled)
//
// For coroutines that are spawned, sent to another core, or kept. A plain task<T> may borrow what outlives it: a child that
// is awaited at once, or one of a group whose scope holds what it uses. Converts to task<T>.
#pragma once

#include <coroutine>
#include <source_location>
#include <string_view>
#include <type_traits>
#include <utility>

#include <axle/task.hpp>

namespace axle {

template <class T = void>
class owning_task;

namespace detail {

template <class Parameter>
inline constexpr bool is_owned =
    !std::is_reference_v<Parameter> &&
    (!std::is_pointer_v<Parameter> || std::is_function_v<std::remove_pointer_t<Parameter>>) &&
    !std::is_same_v<std::remove_cv_t<Parameter>, std::string_view>;

template <class T, class... Parameters>
class owning_promise : public promise<T> {
  static_assert(
      (is_owned<Parameters> && ...),
      "owning_task: every parameter must be taken by value (no reference, pointer or string_view), and the "
      "coroutine must be a function: a lambda or member function would borrow its object");

 public:
  explicit owning_promise(std::source_location of_coroutine = std::source_location::current()) noexcept
      : promise<T>(of_coroutine) {}
  owning_task<T> get_return_object() noexcept;
};

}  // namespace detail

template <class T>
class [[nodiscard("a task runs only when it is awaited or spawned")]] owning_task : public task<T> {
 public:
  explicit owning_task(task<T>&& made) noexcept : task<T>(std::move(made)) {}
};

namespace detail {

template <class T, class... Parameters>
owning_task<T> owning_promise<T, Parameters...>::get_return_object() noexcept {
  return owning_task<T>(promise<T>::get_return_object());
}

template <class T>
inline constexpr bool is_task<owning_task<T>> = true;

}  // namespace detail

}  // namespace axle

template <class T, class... Parameters>
struct std::coroutine_traits<axle::owning_task<T>, Parameters...> {
  using promise_type = axle::detail::owning_promise<T, Parameters...>;
};
