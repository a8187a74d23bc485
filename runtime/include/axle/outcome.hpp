// How a task can end: with a value, with an exception, or cancelled.
#pragma once

#include <exception>
#include <type_traits>
#include <utility>
#include <variant>

#include <axle/check.hpp>

namespace axle {

/// Thrown in whoever joins a task that was cancelled. The cancelled task itself never sees it: its frames are
/// destroyed. (asyncio's CancelledError.)
class AXLE_EXPORT cancelled : public std::exception {
 public:
  const char* what() const noexcept override;
};

/// What became of a task, as a plain value.
template <class T>
class [[nodiscard]] outcome {
  struct was_cancelled {};
  using held_value =
      std::conditional_t<std::is_void_v<T>, std::monostate,
                         std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>>;

 public:
  outcome() = default;  // cancelled
  explicit outcome(std::exception_ptr error) : held_(std::in_place_index<2>, std::move(error)) {}
  template <class... Args>
  explicit outcome(std::in_place_t, Args&&... args)
      : held_(std::in_place_index<1>, std::forward<Args>(args)...) {}

  bool is_cancelled() const noexcept { return held_.index() == 0; }
  bool has_value() const noexcept { return held_.index() == 1; }
  /// The exception it ended with; null if it did not.
  std::exception_ptr error() const noexcept {
    const auto* held = std::get_if<2>(&held_);
    return held ? *held : nullptr;
  }
  /// The value where it lies; throws the task's exception, or `cancelled`.
  auto look() const -> std::add_lvalue_reference_t<const std::remove_reference_t<T>>
    requires(!std::is_void_v<T>)
  {
    if (is_cancelled()) throw cancelled();
    if (auto failed = error()) std::rethrow_exception(failed);
    if constexpr (std::is_reference_v<T>) {
      return **std::get_if<1>(&held_);
    } else {
      return *std::get_if<1>(&held_);
    }
  }
  /// The value; throws the task's exception, or `cancelled`.
  T value() && {
    if (is_cancelled()) throw cancelled();
    if (auto failed = error()) std::rethrow_exception(failed);
    if constexpr (std::is_void_v<T>) {
      return;
    } else if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(**std::get_if<1>(&held_));
    } else {
      return std::move(*std::get_if<1>(&held_));
    }
  }

 private:
  std::variant<was_cancelled, held_value, std::exception_ptr> held_;
};

}  // namespace axle
