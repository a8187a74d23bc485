// far_call: a call on another core, for `on`. It lives in the calling task's frame, which stays until the reply is home.
//
// A plain function travels inside a parcel if it fits, and so does its result: one line there, one line back, and nobody touches
// the frame but its own core. What does not fit stays in the frame and the other core reads it there. A function that returns a
// task is called over there, its task runs there, and a cancel follows it; the frame then stays until that has come home too.
// Each line below says on which side it runs: here, the caller's core, or there.
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include <axle/call_window.hpp>
#include <axle/detail/lane.hpp>
#include <axle/detail/loop_core.hpp>
#include <axle/detail/mailbox.hpp>
#include <axle/outcome.hpp>
#include <axle/spawn.hpp>
#include <axle/task.hpp>

namespace axle::detail {

/// To another core of the calling loop's run, or to this one. In order with what was sent there before.
AXLE_EXPORT void send_to_core(unsigned core, message& sent) noexcept;
/// To a loop that lives at least until it has received this. Any thread.
AXLE_EXPORT void send_to_loop(loop_core& to, message& sent) noexcept;
/// Through the reader's mailbox, because the lane is full.
AXLE_EXPORT void spill(lane& full, message& sent) noexcept;

/// The lane from the calling loop to another one; null if there is no memory for it.
inline lane* lane_to(loop_core& here, unsigned core) noexcept {
  if (here.lanes && core < here.cores) [[likely]]
    if (lane* const used = here.lanes[core]) return used;
  return open_lane(here, core);
}
inline void post(lane& filled) noexcept {
  if (filled.post()) nudge(filled);
}

class far_call : public list_waiter, public message {
 public:
  far_call(const far_call&) = delete;
  far_call& operator=(const far_call&) = delete;

  /// Throws std::bad_alloc.
  bool await_ready() {
    window_->prepare();
    return false;
  }
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    kind = &under_way;
    if (suspend_on(h, *this, "on(core, f)")) enter_window();
  }

 protected:
  /// Null: the loop's own window.
  far_call(unsigned core, call_window* window) noexcept
      : core_(core), window_(window ? window : need_loop("on").window) {}

  /// Here: the reply is home. The task goes on, or, if there is nothing to deliver and it is being cancelled, ends.
  AXLE_EXPORT void came_home(bool has_value) noexcept;
  /// There: sends it home, to be received by `receive`.
  void go_home() noexcept { send_to_core(home_, *this); }

  // Here.
  void (*depart_)(far_call&) noexcept = nullptr;
  void (*cancel_)(far_call&) noexcept = nullptr;  // null: it is short, and is waited for
  unsigned core_;
  unsigned home_ = 0;

 private:
  void enter_window() noexcept {  // here
    const loop_core& here = *this_loop;
    home_ = here.core;
    AXLE_CHECK(core_ < here.cores, "core %u does not exist: this run has %u, counted from 0", core_,
               here.cores);
    call_window::way& way = window_->ways_[core_];
    if (way.under_way >= window_->most_) [[unlikely]]
      return wait_to_depart();
    ++way.under_way;
    depart_(*this);
  }
  AXLE_EXPORT void wait_to_depart() noexcept;
  AXLE_EXPORT static const wait_kind under_way;
  AXLE_EXPORT static const wait_kind waiting_to_depart;

  call_window* window_;
};

template <class R>
struct remote_result {
  using type = R;
};
template <class T>
struct remote_result<task<T>> {
  using type = T;
};

/// Calls f with args, which are moved from. For void, a value that stands for it.
template <class R, class F, class... Args>
outcome<R> outcome_of_call(F& f, std::tuple<Args...>& args) noexcept {
  try {
    if constexpr (std::is_void_v<R>) {
      std::apply([&f](Args&... each) { std::invoke(f, std::move(each)...); }, args);
      return outcome<void>(std::in_place);
    } else {
      return outcome<R>(std::in_place,
                        std::apply([&f](Args&... each) { return std::invoke(f, std::move(each)...); }, args));
    }
  } catch (...) {
    return outcome<R>(std::current_exception());
  }
}

// ---- a plain function -----------------------------------------------------------------------------------------------

template <class F, class... Args>
class [[nodiscard("nothing happens until it is awaited: co_await it")]] plain_call : far_call {
  using value_type = std::invoke_result_t<F&, Args...>;
  static_assert(!std::is_reference_v<value_type>, "a reference into another core's memory must not travel");
  struct packed {
    F f;
    std::tuple<Args...> args;
  };

 public:
  template <class... Given>
  plain_call(unsigned core, call_window* window, F&& f, Given&&... args)
      : far_call(core, window), call_{std::move(f), std::tuple<Args...>(std::forward<Given>(args)...)} {
    depart_ = [](far_call& base) noexcept { static_cast<plain_call&>(base).depart(); };
  }
  using far_call::await_ready;
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    far_call::await_suspend(h);
  }
  value_type await_resume() {
    throw_if_cut();
    return std::move(became_).value();
  }

 private:
  void depart() noexcept {  // here
    lane* const way = core_ == home_ ? nullptr : lane_to(*this_loop, core_);
    if constexpr (fits_parcel<packed>) {
      if (parcel* const free = way ? way->claim() : nullptr) {
        free->about = this;
        free->open = opened;
        ::new (static_cast<void*>(free->inside)) packed(std::move(call_));
        return post(*way);
      }
    }
    receive = [](message& sent) noexcept { static_cast<plain_call&>(sent).arrived(); };
    send_to_core(core_, *this);
  }

  static void opened(parcel& full, unsigned from) noexcept {  // there
    auto* const call = static_cast<plain_call*>(full.about);
    packed& brought = *std::launder(reinterpret_cast<packed*>(full.inside));
    outcome<value_type> became = outcome_of_call<value_type>(brought.f, brought.args);
    brought.~packed();
    if constexpr (fits_parcel<outcome<value_type>>) {
      lane* const way = lane_to(*this_loop, from);
      if (parcel* const free = way ? way->claim() : nullptr) {
        free->about = call;
        free->open = opened_at_home;
        ::new (static_cast<void*>(free->inside)) outcome<value_type>(std::move(became));
        return post(*way);
      }
    }
    call->answer(std::move(became));
  }
  static void opened_at_home(parcel& full, unsigned) noexcept {  // here
    auto* const brought = std::launder(reinterpret_cast<outcome<value_type>*>(full.inside));
    auto& mine = *static_cast<plain_call*>(full.about);
    mine.became_ = std::move(*brought);
    std::destroy_at(brought);
    mine.came_home(true);
  }

  void arrived() noexcept { answer(outcome_of_call<value_type>(call_.f, call_.args)); }  // there
  void answer(outcome<value_type>&& became) noexcept {                                   // there
    try {
      became_ = std::move(became);
    } catch (...) {  // a value whose move throws
      became_ = outcome<value_type>(std::current_exception());
    }
    receive = [](message& sent) noexcept { static_cast<plain_call&>(sent).came_home(true); };
    go_home();
  }

  packed call_;
  outcome<value_type> became_;
};

// ---- a function that returns a task ---------------------------------------------------------------------------------

class task_call : public far_call {
 protected:
  AXLE_EXPORT task_call(unsigned core, call_window* window) noexcept;

  /// The task that the function made, there.
  struct far_task : task_state, end_hook {
    task_call* call;
  };
  struct follower : message {
    task_call* call;
  };

  /// There: calls the function. True: it made a task, whose frame is in far_.
  bool (*call_there_)(task_call&) noexcept = nullptr;
  /// There, when that task has ended: takes its outcome and destroys its frame.
  void (*take_there_)(task_call&) noexcept = nullptr;
  void set_deliverable(bool yes) noexcept { has_value_ = yes; }
  far_task far_;

 private:
  AXLE_EXPORT void depart() noexcept;  // here
  AXLE_EXPORT void arrived() noexcept;
  AXLE_EXPORT void follow() noexcept;  // here: a cancel
  AXLE_EXPORT void one_is_home() noexcept;

  follower cancel_message_;
  std::uint8_t at_home_ = 0;  // messages that have come back
  std::uint8_t to_come_ = 1;
  bool has_value_ = false;  // home: something to deliver
};

template <class F, class... Args>
class [[nodiscard("nothing happens until it is awaited: co_await it")]] task_call_of : task_call {
  using value_type = typename remote_result<std::invoke_result_t<F&, Args...>>::type;
  static_assert(!std::is_reference_v<value_type>, "a reference into another core's memory must not travel");

 public:
  template <class... Given>
  task_call_of(unsigned core, call_window* window, F&& f, Given&&... args)
      : task_call(core, window), f_(std::move(f)), args_(std::forward<Given>(args)...) {
    call_there_ = [](task_call& base) noexcept { return static_cast<task_call_of&>(base).call(); };
    take_there_ = [](task_call& base) noexcept { static_cast<task_call_of&>(base).take(); };
  }
  using far_call::await_ready;
  template <class P>
  void await_suspend(std::coroutine_handle<P> h) noexcept {
    far_call::await_suspend(h);
  }
  value_type await_resume() {
    throw_if_cut();
    return std::move(became_).value();
  }

 private:
  bool call() noexcept {
    try {
      far_.frame =
          std::apply([this](Args&... each) { return std::invoke(f_, std::move(each)...); }, args_).release();
      return true;
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

template <class F, class... Args>
using far_call_of = std::conditional_t<is_task<std::invoke_result_t<F&, Args...>>, task_call_of<F, Args...>,
                                       plain_call<F, Args...>>;

}  // namespace axle::detail
