// on, for_each_core, post_to: reaching another core's loop. Nothing is shared; functions travel.
#pragma once

#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <new>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <axle/call_window.hpp>
#include <axle/detail/far_call.hpp>
#include <axle/detail/lane.hpp>
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

AXLE_EXPORT result<void> post_message(unsigned core, message& sent) noexcept;

template <class F, class... Args>
struct posted_call final : message {
  posted_call(F&& f, std::tuple<Args...>&& args) : call(std::move(f)), with(std::move(args)) {}
  F call;
  std::tuple<Args...> with;
};
/// What is thrown goes to the handler for unjoined failures.
AXLE_EXPORT void run_unjoined(void (*run)(void*), void* call) noexcept;
/// The same, and counts it out.
AXLE_EXPORT void run_posted(void (*run)(void*), void* call) noexcept;

/// A post that travels inside a parcel.
template <class F, class... Args>
struct packed_post {
  F call;
  std::tuple<Args...> with;

  static void opened(parcel& full, unsigned from) noexcept {
    auto& brought = *std::launder(reinterpret_cast<packed_post*>(full.inside));
    if (from != parcel::nobody)
      run_unjoined(
          [](void* packed) {
            auto& mine = *static_cast<packed_post*>(packed);
            std::apply([&mine](Args&... each) { std::invoke(mine.call, std::move(each)...); }, mine.with);
          },
          &brought);
    brought.~packed_post();
  }
};

}  // namespace detail

/// Runs f(args...) on another core (or this one) and gives its value; f may return a task, which then runs there. f and
/// args are moved over; exceptions come back; a cancel follows the call and is waited for. Costs two messages. At most 1,024
/// of a core's calls to another are under way at once; more wait in order.
template <class F, class... Args>
detail::far_call_of<F, std::decay_t<Args>...> on(unsigned core, F f, Args&&... args) {
  return {core, nullptr, std::move(f), std::forward<Args>(args)...};
}

/// The same, bounded by a window of its own.
template <class F, class... Args>
detail::far_call_of<F, std::decay_t<Args>...> on(unsigned core, call_window& window, F f, Args&&... args) {
  return {core, &window, std::move(f), std::forward<Args>(args)...};
}

/// Runs f(args...) on a core's loop, from any thread, and does not wait. From a loop of the run, in order with its other posts
/// and calls there. Errors: errc::not_connected when no runtime is running, errc::resource_unavailable_try_again when 65,536
/// such calls are under way. What f throws goes to the handler for unjoined failures.
template <class F, class... Args>
result<void> post_to(unsigned core, F f, Args... args) {
  using packed = detail::packed_post<F, Args...>;
  if constexpr (detail::fits_parcel<packed>) {
    detail::loop_core* const here = detail::this_loop;
    detail::lane* const way = here && core != here->core ? detail::lane_to(*here, core) : nullptr;
    if (detail::parcel* const free = way ? way->claim() : nullptr) {
      free->open = packed::opened;
      ::new (static_cast<void*>(free->inside)) packed{std::move(f), std::tuple<Args...>(std::move(args)...)};
      detail::post(*way);
      return {};
    }
  }
  using posted = detail::posted_call<F, Args...>;
  auto* sent = new posted(std::move(f), std::tuple<Args...>(std::move(args)...));
  sent->receive = [](detail::message& received) noexcept {
    detail::run_posted(
        [](void* call) {
          auto& mine = *static_cast<posted*>(call);
          struct deleter {
            posted* p;
            ~deleter() { delete p; }
          } const guard{&mine};
          std::apply([&mine](Args&... each) { std::invoke(mine.call, std::move(each)...); }, mine.with);
        },
        static_cast<posted*>(&received));
  };
  auto accepted = detail::post_message(core, *sent);
  if (!accepted) delete sent;
  return accepted;
}

namespace detail {

/// For call_from_thread: unset, because its task was cancelled, it tells the waiting thread so.
template <class T>
using thread_promise = std::promise<outcome<T>>;

template <class F, class... Args>
auto call_with(F& f, std::tuple<Args...>& args) {
  return std::apply([&f](Args&... each) { return std::invoke(f, std::move(each)...); }, args);
}

template <class T, class F, class... Args>
task<> call_for_thread(thread_promise<T> waiting, F f, std::tuple<Args...> args) {
  std::exception_ptr failure;
  try {
    auto called = call_with(f, args);
    if constexpr (std::is_void_v<T>) {
      co_await std::move(called);
      waiting.set_value(outcome<T>(std::in_place));
    } else {
      waiting.set_value(outcome<T>(std::in_place, co_await std::move(called)));
    }
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) waiting.set_value(outcome<T>(failure));
}

template <class T, class F, class... Args>
void answer_thread(thread_promise<T> waiting, F f, std::tuple<Args...> args) {
  if constexpr (is_task<std::invoke_result_t<F&, Args...>>) {
    spawn(call_for_thread<T, F, Args...>(std::move(waiting), std::move(f), std::move(args))).detach();
  } else {
    waiting.set_value(outcome_of_call<T>(f, args));
  }
}

}  // namespace detail

/// Runs f(args...) on a core's loop and waits for it, from a thread that runs no loop; f may return a task. Gives its value or
/// throws its exception; throws `cancelled` if the run ended first. Errors: as post_to. asyncio's run_coroutine_threadsafe(...)
/// .result(). On a loop it is a CHECK: it would block it.
template <class F, class... Args>
auto call_from_thread(unsigned core, F f, Args... args)
    -> result<typename detail::remote_result<std::invoke_result_t<F&, Args...>>::type> {
  using value_type = typename detail::remote_result<std::invoke_result_t<F&, Args...>>::type;
  AXLE_CHECK(detail::this_loop == nullptr,
             "call_from_thread was called on a loop, which it would block; use on()");
  detail::thread_promise<value_type> waiting;
  auto answer = waiting.get_future();
  auto posted = post_to(core, detail::answer_thread<value_type, F, Args...>, std::move(waiting), std::move(f),
                        std::tuple<Args...>(std::move(args)...));
  if (!posted) return fail(posted.error());
  try {
    if constexpr (std::is_void_v<value_type>) {
      answer.get().value();
      return {};
    } else {
      return answer.get().value();
    }
  } catch (const std::future_error&) {
    throw cancelled();
  }
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
