// on, for_each_core, post_to: reaching another core's loop. Nothing is shared; functions travel.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <axle/detail/loop_core.hpp>
#include <axle/detail/mailbox.hpp>
#include <axle/gather.hpp>
#include <axle/outcome.hpp>
#include <axle/result.hpp>
#include <axle/spawn.hpp>
#include <axle/task.hpp>

namespace axle {

/// The core this loop is, counted from 0, and how many run() started. Inside a loop.
AXLE_EXPORT unsigned this_core() noexcept;
AXLE_EXPORT unsigned core_count() noexcept;
/// What drives this loop: "uring", "epoll" or "sim". Inside a loop.
AXLE_EXPORT std::string_view driver_name() noexcept;

namespace detail {

AXLE_EXPORT void send_to_core(unsigned core, message& sent) noexcept;
/// To a loop that lives at least until it has received this. Any thread.
AXLE_EXPORT void send_to_loop(loop_core& to, message& sent) noexcept;

/// A call on another core. Lives in the calling task's frame; there_ and back_ carry it over and home, cancel_ follows it.
/// The frame stays until the reply is home and, if a cancel was sent, until that has come home too.
class remote_call : public wait_node {
 public:
  remote_call(const remote_call&) = delete;
  remote_call& operator=(const remote_call&) = delete;
  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    if (suspend_on(h, *this, "on(core, f)")) depart();
  }

 protected:
  AXLE_EXPORT explicit remote_call(unsigned core) noexcept;

  struct carried : message {
    remote_call* call;
  };
  /// The task that the function made, on the other core.
  struct far_task : task_state, end_hook {
    remote_call* call;
  };

  /// Runs on the other core: calls the function. True: it made a task, whose frame is in far_.
  bool (*call_there_)(remote_call&) noexcept = nullptr;
  /// Runs on the other core when that task has ended: takes its outcome and destroys its frame.
  void (*take_there_)(remote_call&) noexcept = nullptr;
  far_task far_;

 private:
  AXLE_EXPORT void depart() noexcept;
  AXLE_EXPORT void arrived() noexcept;
  AXLE_EXPORT void came_home() noexcept;
  AXLE_EXPORT static const wait_kind kind_of;

  carried there_, back_, cancel_;
  unsigned home_core_ = 0;
  unsigned core_;
  std::uint8_t at_home_ = 0;  // messages that have come back
  std::uint8_t to_come_ = 1;
  bool has_value_ = false;  // home: something to deliver

 protected:
  void set_deliverable(bool yes) noexcept { has_value_ = yes; }
};

template <class R>
struct remote_result {
  using type = R;
};
template <class T>
struct remote_result<task<T>> {
  using type = T;
};

template <class F, class... Args>
class [[nodiscard("nothing happens until it is awaited: co_await it")]] remote_call_of : remote_call {
  using returned = std::invoke_result_t<F&, Args...>;
  using value_type = typename remote_result<returned>::type;
  static_assert(!std::is_reference_v<value_type>, "a reference into another core's memory must not travel");

 public:
  template <class... Given>
  explicit remote_call_of(unsigned core, F f, Given&&... args)
      : remote_call(core), f_(std::move(f)), args_(std::forward<Given>(args)...) {
    call_there_ = [](remote_call& base) noexcept { return static_cast<remote_call_of&>(base).call(); };
    take_there_ = [](remote_call& base) noexcept { static_cast<remote_call_of&>(base).take(); };
  }
  using remote_call::await_ready;
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    remote_call::await_suspend(h);
  }
  value_type await_resume() {
    throw_if_cut();
    return std::move(became_).value();
  }

 private:
  bool call() noexcept {
    try {
      if constexpr (is_task<returned>) {
        far_.frame =
            std::apply([&](Args&... args) { return std::invoke(f_, std::move(args)...); }, args_).release();
        return true;
      } else if constexpr (std::is_void_v<returned>) {
        std::apply([&](Args&... args) { std::invoke(f_, std::move(args)...); }, args_);
        became_ = outcome<void>(std::in_place);
      } else {
        became_ = outcome<value_type>(
            std::in_place,
            std::apply([&](Args&... args) { return std::invoke(f_, std::move(args)...); }, args_));
      }
    } catch (...) {
      became_ = outcome<value_type>(std::current_exception());
    }
    set_deliverable(true);
    return false;
  }
  void take() noexcept {
    try {
      became_ = outcome_of<value_type>(far_);
    } catch (...) {  // a value whose move throws
      became_ = outcome<value_type>(std::current_exception());
    }
    set_deliverable(!became_.is_cancelled());
    if (far_.frame) std::exchange(far_.frame, {}).destroy();
  }

  F f_;
  std::tuple<Args...> args_;
  outcome<value_type> became_;
};

AXLE_EXPORT result<void> post_message(unsigned core, message& sent) noexcept;

template <class F, class... Args>
struct posted_call final : message {
  posted_call(F&& f, Args&&... args) : call(std::move(f)), with(std::move(args)...) {}
  F call;
  std::tuple<Args...> with;
};
AXLE_EXPORT void run_posted(void (*run)(void*), void* call) noexcept;

}  // namespace detail

/// Runs f(args...) on another core (or this one) and gives its value; f may return a task, which then runs there. f and
/// args are moved over; exceptions come back; a cancel follows the call and is waited for. Costs two messages.
template <class F, class... Args>
detail::remote_call_of<F, std::decay_t<Args>...> on(unsigned core, F f, Args&&... args) {
  return detail::remote_call_of<F, std::decay_t<Args>...>(core, std::move(f), std::forward<Args>(args)...);
}

/// Runs f(args...) on a core's loop, from any thread, and does not wait. Errors: errc::not_connected when no runtime
/// is running, errc::resource_unavailable_try_again when 65,536 such calls are under way. What f throws goes to the
/// handler for unjoined failures.
template <class F, class... Args>
result<void> post_to(unsigned core, F f, Args... args) {
  using posted = detail::posted_call<F, Args...>;
  auto* sent = new posted(std::move(f), std::move(args)...);
  sent->receive = [](detail::message& received) noexcept {
    detail::run_posted(
        [](void* call) {
          auto& mine = *static_cast<posted*>(call);
          struct deleter {
            posted* p;
            ~deleter() { delete p; }
          } const guard{&mine};
          std::apply([&](Args&... with) { std::invoke(mine.call, std::move(with)...); }, mine.with);
        },
        static_cast<posted*>(&received));
  };
  auto accepted = detail::post_message(core, *sent);
  if (!accepted) delete sent;
  return accepted;
}

namespace detail {

template <class F>
task<> call_on(unsigned core, F f) {
  co_await on(core, std::move(f));
}

template <class F>
task<> call_on_all(F f) {
  std::vector<task<>> calls;
  for (unsigned core = 0; core < core_count(); ++core) calls.push_back(call_on(core, f));
  co_await gather(std::move(calls));
}

}  // namespace detail

/// Runs f(), a copy of it for each core, on every core at once; ends when all have. The first failure cancels the rest.
template <class F>
  requires detail::makes_task<F>
task<> for_each_core(F f) {
  return detail::call_on_all(std::move(f));
}

}  // namespace axle
