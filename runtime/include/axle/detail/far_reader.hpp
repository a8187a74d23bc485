// far_reader: what the readers of a broadcast and of a watch share: values that many copy, and the wait for one.
//
// A reader belongs to one task at a time. A writer wakes those that wait without giving them anything: there is a value for
// each from then on, and the reader fetches its own when it runs, so a writer's work does not grow with the size of T.
#pragma once

#include <concepts>
#include <coroutine>
#include <memory>
#include <type_traits>
#include <utility>

#include <axle/detail/far_list.hpp>
#include <axle/result.hpp>

namespace axle::detail {

/// A value that many read. Small plain ones are kept as they are, others behind a shared pointer: what happens under a lock
/// is the copy of a few words, and the copy of a T is made by the reader on its own core.
template <class T>
class shared_value {
  static constexpr bool is_plain = std::is_trivially_copyable_v<T> && std::default_initializable<T> &&
                                   std::is_copy_assignable_v<T> && sizeof(T) <= 64;
  using held_type = std::conditional_t<is_plain, T, std::shared_ptr<const T>>;

 public:
  shared_value() = default;
  /// May throw std::bad_alloc.
  explicit shared_value(T&& value) : held_(wrap(std::move(value))) {}
  const T& operator*() const noexcept {
    if constexpr (is_plain) {
      return held_;
    } else {
      return *held_;
    }
  }

 private:
  static held_type wrap(T&& value) {
    if constexpr (is_plain) {
      return value;
    } else {
      return std::make_shared<const T>(std::move(value));
    }
  }
  held_type held_{};
};

/// The base of a reader: while a task waits with it, it stays where it is.
class far_reader {
 public:
  far_reader() = default;
  far_reader(far_reader&& other) noexcept { other.need_free(); }
  far_reader& operator=(far_reader&& other) noexcept {
    need_free();
    other.need_free();
    return *this;
  }
  ~far_reader() { need_free(); }

 private:
  template <class, class>
  friend class read_await;
  void need_free() const noexcept {
    AXLE_CHECK(!awaited_, "a reader was moved, destroyed or awaited again while a task waits with it");
  }
  bool awaited_ = false;
};

/// Reader has look(shared_value<T>&, far_waiter*): under the lock, the next value, or that there will be none; else the
/// waiter, if one was given, joins the list.
template <class T, class Reader>
class [[nodiscard]] read_await : far_waiter {
 public:
  read_await(Reader& by, const wait_kind& how) noexcept : by_(by) {
    static_cast<const far_reader&>(by_).need_free();
    kind = &how;
  }
  read_await(const read_await&) = delete;
  read_await& operator=(const read_await&) = delete;
  ~read_await() {
    if (suspended_) static_cast<far_reader&>(by_).awaited_ = false;
  }

  bool await_ready() noexcept {
    if (!may_complete_now(kind->what)) return false;
    had_ = by_.look(got_, nullptr);
    return had_ != answer::wait;
  }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    static_cast<const far_reader&>(by_).need_free();
    static_cast<far_reader&>(by_).awaited_ = suspended_ = true;
    had_ = answer::wait;
    suspend_unless(h, *this, [this] {
      const answer now = by_.look(got_, this);
      if (now == answer::wait) return false;
      had_ = now;
      return true;
    });
  }
  result<T> await_resume() {
    throw_if_cut();
    if (had_ == answer::wait) had_ = by_.look(got_, nullptr);
    if (had_ == answer::closed) return fail(errc::broken_pipe);
    return T(*got_);
  }

 private:
  Reader& by_;
  shared_value<T> got_;
  answer had_ = answer::unasked;
  bool suspended_ = false;
};

}  // namespace axle::detail
