// once: something that is done by the first who needs it, while the others wait. once_value<T>: and leaves a value.
//
// If it fails or is cancelled, the next of those that wait does it again. Single core.
#pragma once

#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <axle/sync/mutex.hpp>
#include <axle/task.hpp>

namespace axle {

class once {
 public:
  /// Runs f(args...), which returns a task<>, unless that was done; returns when it is done. An exception from it reaches
  /// the caller whose turn it was.
  template <class F, class... Args>
  task<> call(F f, Args... args) {
    if (done_) co_return;
    const auto held = co_await turn_.lock();
    if (done_) co_return;
    co_await std::invoke(f, std::move(args)...);
    done_ = true;
  }
  bool done() const noexcept { return done_; }

 private:
  mutex turn_;
  bool done_ = false;
};

template <class T>
class once_value {
 public:
  /// The value; made by f(args...), which returns a task<T>, if nobody has made it yet. Valid as long as this is.
  template <class F, class... Args>
  task<T&> get(F f, Args... args) {
    if (!value_) {
      const auto held = co_await turn_.lock();
      if (!value_) value_.emplace(co_await std::invoke(f, std::move(args)...));
    }
    co_return *value_;
  }
  /// Null until it is made.
  T* peek() noexcept { return value_ ? &*value_ : nullptr; }

 private:
  mutex turn_;
  std::optional<T> value_;
};

}  // namespace axle
