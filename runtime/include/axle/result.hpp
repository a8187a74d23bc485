// result<T>: a value, or the std::error_code that the system or a peer caused.
//
// Source-compatible with C++23's std::expected<T, std::error_code>, so that a project may move to it by
// changing one alias. `value()` throws std::system_error where there is none.
#pragma once

#include <concepts>
#include <functional>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include <axle/check.hpp>

namespace axle {

/// The portable error conditions: `axle::errc::timed_out`, `axle::errc::operation_canceled`, ...
using errc = std::errc;

/// What a result without a value holds; made by `fail(...)`, or returned as it is.
class unexpected {
 public:
  explicit unexpected(std::error_code error) : error_(error) {}
  const std::error_code& error() const noexcept { return error_; }

 private:
  std::error_code error_;
};

inline unexpected fail(std::errc error) { return unexpected(std::make_error_code(error)); }
inline unexpected fail(std::error_code error) { return unexpected(error); }
/// From an errno value, positive or (as the kernel returns it) negative.
inline unexpected fail_errno(int error) {
  return unexpected(std::error_code(error < 0 ? -error : error, std::system_category()));
}

struct unexpect_t {
  explicit unexpect_t() = default;
};
inline constexpr unexpect_t unexpect{};

template <class T>
class result;

namespace detail {
template <class>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<result<T>> = true;
}  // namespace detail

template <class T>
class [[nodiscard]] result {
  static_assert(!std::is_reference_v<T>, "result<T&>: hold a pointer or std::reference_wrapper");

 public:
  using value_type = T;
  using error_type = std::error_code;

  result()
    requires std::default_initializable<T>
      : held_(std::in_place_index<0>) {}
  template <class U = T>
    requires(std::constructible_from<T, U> && !std::same_as<std::remove_cvref_t<U>, result> &&
             !std::same_as<std::remove_cvref_t<U>, unexpected> &&
             !std::same_as<std::remove_cvref_t<U>, std::in_place_t>)
  explicit(!std::convertible_to<U, T>) result(U&& value)
      : held_(std::in_place_index<0>, std::forward<U>(value)) {}
  template <class... Args>
  explicit result(std::in_place_t, Args&&... args)
      : held_(std::in_place_index<0>, std::forward<Args>(args)...) {}
  result(const unexpected& why) : held_(std::in_place_index<1>, why.error()) {}
  result(unexpect_t, std::error_code error) : held_(std::in_place_index<1>, error) {}

  bool has_value() const noexcept { return held_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  /// The value; throws std::system_error with the error where there is none.
  T& value() & { return need_value(), **this; }
  const T& value() const& { return need_value(), **this; }
  T&& value() && { return need_value(), std::move(**this); }

  /// The value; a CHECK fails where there is none.
  T& operator*() & noexcept { return checked(), *std::get_if<0>(&held_); }
  const T& operator*() const& noexcept { return checked(), *std::get_if<0>(&held_); }
  T&& operator*() && noexcept { return checked(), std::move(*std::get_if<0>(&held_)); }
  T* operator->() noexcept { return &**this; }
  const T* operator->() const noexcept { return &**this; }

  /// The error; an empty std::error_code where there is a value.
  std::error_code error() const noexcept { return has_value() ? std::error_code{} : *std::get_if<1>(&held_); }

  template <class U>
  T value_or(U&& other) const& {
    return has_value() ? **this : static_cast<T>(std::forward<U>(other));
  }
  template <class U>
  T value_or(U&& other) && {
    return has_value() ? std::move(**this) : static_cast<T>(std::forward<U>(other));
  }

  template <class F>
  auto and_then(F&& next) && {
    using R = std::remove_cvref_t<std::invoke_result_t<F, T&&>>;
    static_assert(detail::is_result<R>, "and_then wants a function that returns a result");
    return has_value() ? std::invoke(std::forward<F>(next), std::move(**this)) : R(unexpect, error());
  }
  template <class F>
  auto transform(F&& change) && {
    using R = result<std::remove_cv_t<std::invoke_result_t<F, T&&>>>;
    return has_value() ? R(std::invoke(std::forward<F>(change), std::move(**this))) : R(unexpect, error());
  }
  template <class F>
  result or_else(F&& mend) && {
    return has_value() ? std::move(*this) : result(std::invoke(std::forward<F>(mend), error()));
  }

  friend bool operator==(const result& a, const result& b)
    requires std::equality_comparable<T>
  {
    return a.held_ == b.held_;
  }

 private:
  void checked() const noexcept {
    AXLE_CHECK(has_value(), "result holds no value but the error %d: test it first, or use value()",
               std::get_if<1>(&held_)->value());
  }
  void need_value() const {
    if (!has_value()) [[unlikely]]
      throw std::system_error(error());
  }

  std::variant<T, std::error_code> held_;
};

/// Success, or an error. In the case of success no error_code is made: its default constructor is a call into the library.
template <>
class [[nodiscard]] result<void> {
 public:
  using value_type = void;
  using error_type = std::error_code;

  result() noexcept : failed_(false) {}
  result(const unexpected& why) : error_(why.error()), failed_(true) {}
  result(unexpect_t, std::error_code error) : error_(error), failed_(true) {}

  bool has_value() const noexcept { return !failed_; }
  explicit operator bool() const noexcept { return !failed_; }
  void value() const {
    if (failed_) [[unlikely]]
      throw std::system_error(error_);
  }
  void operator*() const noexcept { AXLE_CHECK(!failed_, "result holds the error %d", error_.value()); }
  std::error_code error() const noexcept { return failed_ ? error_ : std::error_code{}; }

  template <class F>
  auto and_then(F&& next) && {
    using R = std::remove_cvref_t<std::invoke_result_t<F>>;
    static_assert(detail::is_result<R>, "and_then wants a function that returns a result");
    return has_value() ? std::invoke(std::forward<F>(next)) : R(unexpect, error_);
  }
  friend bool operator==(const result& a, const result& b) noexcept {
    return a.failed_ == b.failed_ && a.error() == b.error();
  }

 private:
  union {
    std::error_code error_;  // if it has failed
  };
  bool failed_;
};

}  // namespace axle
