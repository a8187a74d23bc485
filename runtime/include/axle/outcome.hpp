// How a task can end: with a value, with an exception, or cancelled.
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <memory>
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

/// What became of a task, as a plain value. (By hand, for a std::variant is moved and destroyed through a table of functions.)
template <class T>
class [[nodiscard]] outcome {
  using held_value =
      std::conditional_t<std::is_void_v<T>, std::monostate,
                         std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>>;
  static constexpr bool moves_without_throwing = std::is_nothrow_move_constructible_v<held_value>;

 public:
  outcome() noexcept : nothing_() {}  // cancelled
  explicit outcome(std::exception_ptr error) noexcept : error_(std::move(error)), holds_(content::error) {}
  template <class... Args>
  explicit outcome(std::in_place_t, Args&&... args)
      : value_(std::forward<Args>(args)...), holds_(content::value) {}
  outcome(outcome&& other) noexcept(moves_without_throwing) : nothing_() { take(std::move(other)); }
  outcome(const outcome& other)
    requires std::copy_constructible<held_value>
      : nothing_() {
    take(other);
  }
  outcome& operator=(outcome&& other) noexcept(moves_without_throwing) {
    if (this != &other) {
      reset();
      take(std::move(other));
    }
    return *this;
  }
  outcome& operator=(const outcome& other)
    requires std::copy_constructible<held_value>
  {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  ~outcome() { reset(); }

  bool is_cancelled() const noexcept { return holds_ == content::nothing; }
  bool has_value() const noexcept { return holds_ == content::value; }
  /// The exception it ended with; null if it did not.
  std::exception_ptr error() const noexcept { return holds_ == content::error ? error_ : nullptr; }
  /// The value where it lies; throws the task's exception, or `cancelled`.
  auto look() const -> std::add_lvalue_reference_t<const std::remove_reference_t<T>>
    requires(!std::is_void_v<T>)
  {
    if (!has_value()) [[unlikely]]
      rethrow();
    if constexpr (std::is_reference_v<T>) {
      return *value_;
    } else {
      return value_;
    }
  }
  /// The value; throws the task's exception, or `cancelled`.
  T value() && {
    if (!has_value()) [[unlikely]]
      rethrow();
    if constexpr (std::is_void_v<T>) {
      return;
    } else if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(*value_);
    } else {
      return std::move(value_);
    }
  }

 private:
  enum class content : std::uint8_t { nothing, value, error };

  [[noreturn]] void rethrow() const {
    if (is_cancelled()) throw cancelled();
    std::rethrow_exception(error_);
  }
  void reset() noexcept {
    if (holds_ == content::value) {
      value_.~held_value();
    } else if (holds_ == content::error) {
      error_.~exception_ptr();
    }
    holds_ = content::nothing;
  }
  // Of an outcome that holds nothing. If a copy or a move throws, it still does.
  template <class Other>
  void take(Other&& other) {
    const content holds = other.holds_;
    if (holds == content::value) {
      std::construct_at(std::addressof(value_), std::forward<Other>(other).value_);
    } else if (holds == content::error) {
      std::construct_at(std::addressof(error_), std::forward<Other>(other).error_);
    }
    holds_ = holds;
  }

  union {
    char nothing_;
    held_value value_;
    std::exception_ptr error_;
  };
  content holds_ = content::nothing;
};

}  // namespace axle
