// sharded<T>: a service with one instance on each core. After Seastar's.
//
//     axle::sharded<cache> caches;                                     // made anywhere; reached by all cores
//     co_await caches.start(64_MiB);                                   // a cache(64_MiB) on each core
//     const auto stop = [&] { return caches.stop(); };                 // named: see README, Compilers
//     co_await axle::finally(serve(caches), stop);
//
//     caches.local().put(key, value);                                  // this core's
//     auto found = co_await caches.invoke_on(owner_of(key), &cache::get, key);
//     auto bytes = co_await caches.map_reduce(&cache::bytes, 0UL, std::plus());
//
// An instance is made, used and destroyed on its core, in memory of that core, on cache lines of its own. Nothing is shared but
// the table of instances, and of that each core reads and writes its own entry alone: what comes from another core comes by on().
// Only start and stop know all instances; the one hands them to the other through `stage_`.
#pragma once

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <axle/cores.hpp>
#include <axle/detail/family.hpp>
#include <axle/gather.hpp>
#include <axle/shield.hpp>
#include <axle/sync/event.hpp>
#include <axle/task.hpp>

namespace axle {

namespace detail {

/// One core's instance, and the calls that are under way in it. That core only.
template <class T>
struct alignas(std::max<std::size_t>(128, alignof(T))) sharded_place : message {
  template <class Make>
  explicit sharded_place(Make& make) : instance(std::invoke(make, this_core())) {}

  void leave() noexcept {
    if (--calls) return;
    if (given_up) {
      delete this;
    } else if (closed) {
      idle.set();
    }
  }
  /// Goes now, or with the last call.
  void give_up() noexcept {
    given_up = true;
    if (!calls) delete this;
  }

  std::size_t calls = 0;
  bool closed = false;
  bool given_up = false;
  event idle;  // once it is closed
  T instance;
};

/// Makes each core's T from a copy of the same arguments.
template <class T, class... Args>
class made_from_copies {
 public:
  explicit made_from_copies(Args&&... args) : args_(std::move(args)...) {}
  T operator()(unsigned) { return std::make_from_tuple<T>(std::move(args_)); }

 private:
  std::tuple<Args...> args_;
};

template <class T>
concept starts_by_task = requires(T& instance) {
  { instance.start() } -> std::same_as<task<>>;
};
template <class T>
concept stops_by_task = requires(T& instance) {
  { instance.stop() } -> std::same_as<task<>>;
};

}  // namespace detail

template <class T>
class sharded {
  template <class F, class... Args>
  using value_of = typename detail::remote_result<std::invoke_result_t<F&, T&, Args&&...>>::type;

 public:
  sharded() = default;
  sharded(const sharded&) = delete;
  sharded& operator=(const sharded&) = delete;
  ~sharded() {
    // acquire: pairs with whoever stopped it
    AXLE_CHECK(
        stage_.load(std::memory_order_acquire) == stage::idle,
        "a sharded was destroyed while it is started: co_await stop() before that, however the work between "
        "ends: `const auto stop = [&] { return s.stop(); }; co_await axle::finally(work(), stop);`");
  }

  /// Makes a T(args...) on every core of this run, from a copy of the arguments, in the order of the cores; where T has a
  /// `task<> start()`, that is awaited on its core before the next core has its turn. If one fails, or this is cancelled, the
  /// instances that are there are stopped and destroyed in reverse order before the failure is delivered (what stop() would
  /// throw beside it, in an exception_group). One whose own start() did not succeed is destroyed, but not stopped. It may be
  /// started again after a stop, also in another run; starting it twice is a CHECK.
  template <class... Args>
    requires(std::constructible_from<T, Args...> && (std::copy_constructible<Args> && ...))
  task<> start(Args... args) {
    return begin(detail::made_from_copies<T, Args...>(std::move(args)...));
  }
  /// The same with make(core), which returns the T of that core: a copy of `make` is called on each.
  template <class Make>
    requires(std::copy_constructible<Make> && std::same_as<std::invoke_result_t<Make&, unsigned>, T>)
  task<> start_with(Make make) {
    return begin(std::move(make));
  }

  /// On each core in reverse order: no more calls, then T's `task<> stop()`, if it has one and its start() succeeded, then the
  /// calls that are under way there end (T's stop() may help them to), then the instance is destroyed. Shielded. What the stop()s
  /// throw comes when all is gone. Does nothing to what is not started, so that a `finally` may cover start, too. Any core; not
  /// from within a call, which would wait for itself.
  ///
  /// A call that reaches a core after this is a CHECK, as is any use after a close: who stops a service has ended, or knows to be
  /// under way, what calls it; an error would burden every call, and no caller could do anything about it.
  task<> stop() {
    // acquire: pairs with whoever stopped it
    if (stage_.load(std::memory_order_acquire) == stage::idle) co_return;
    transition leaving(*this, stage::started, stage::stopping);
    const detail::shield_scope guard;
    detail::failures failed;
    co_await take_down(failed);
    leaving.reached(stage::idle);
    failed.rethrow_if_any();
  }

  /// The instance of the calling core. A CHECK unless it is started there, in this run.
  T& local() const noexcept { return place_here("sharded::local").instance; }
  /// Any thread.
  bool started() const noexcept {
    // acquire: pairs with start
    return stage_.load(std::memory_order_acquire) == stage::started;
  }

  /// f(T&, args...) on a core, with its value or exception; f may return a task, which then runs there. As on() does it, but on the
  /// calling core without a message. This must stay until it has ended, as f and args do.
  template <class F, class... Args>
  task<value_of<F, Args...>> invoke_on(unsigned core, F f, Args... args) {
    if (core != this_core()) {
      far_call<F> there(*this, std::move(f));
      co_return co_await on(core, std::move(there), std::move(args)...);
    }
    const visit under_way(place_here("sharded::invoke_on"));
    if constexpr (detail::is_task<std::invoke_result_t<F&, T&, Args&&...>>) {
      co_return co_await std::invoke(f, under_way.instance(), std::move(args)...);
    } else {
      co_return std::invoke(f, under_way.instance(), std::move(args)...);
    }
  }

  /// f(T&, args...), copies of them for each core, on every core at once; ends when all have. The first failure cancels the rest.
  template <class F, class... Args>
  task<> invoke_on_all(F f, Args... args) {
    return invoke_on_each(false, std::move(f), std::move(args)...);
  }
  /// The same on every core but the calling one.
  template <class F, class... Args>
  task<> invoke_on_others(F f, Args... args) {
    return invoke_on_each(true, std::move(f), std::move(args)...);
  }

  /// The values of f(T&, args...) on all cores at once, in the order of the cores. The first failure cancels the rest.
  template <class F, class... Args>
  task<std::vector<value_of<F, Args...>>> map(F f, Args... args) {
    std::vector<task<value_of<F, Args...>>> calls;
    for (unsigned core = 0; core < core_count(); ++core) calls.push_back(invoke_on(core, f, args...));
    co_return co_await gather(std::move(calls));
  }
  /// reduce(reduce(initial, a), b) ... of those values, on the calling core, in the order of the cores.
  template <class F, class R, class Reduce>
  task<R> map_reduce(F f, R initial, Reduce reduce) {
    auto values = co_await map(std::move(f));
    for (auto&& each : values) initial = std::invoke(reduce, std::move(initial), std::move(each));
    co_return initial;
  }

 private:
  using place = detail::sharded_place<T>;
  enum class stage : std::uint8_t { idle, starting, started, stopping };

  struct table {
    std::uint64_t key = 0;        // of a loop of the run
    std::vector<place*> of_core;  // each entry is its core's
  };

  /// A call that is under way, on its core.
  class visit {
   public:
    explicit visit(place& at) noexcept : at_(&at) {
      AXLE_CHECK(!at.closed,
                 "a call came to a sharded that has stopped on core %u: end what calls it before you stop it",
                 this_core());
      ++at.calls;
    }
    visit(visit&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
    visit& operator=(visit&&) = delete;
    ~visit() {
      if (at_) at_->leave();
    }
    T& instance() const noexcept { return at_->instance; }

   private:
    place* at_;
  };

  template <class F>
  class far_call {
   public:
    far_call(sharded& of, F&& f) : of_(&of), f_(std::move(f)) {}
    template <class... Args>
    std::invoke_result_t<F&, T&, Args&&...> operator()(Args&&... args) {
      visit under_way(of_->place_here("sharded::invoke_on"));
      if constexpr (detail::is_task<std::invoke_result_t<F&, T&, Args&&...>>) {
        return run(std::move(under_way), f_, std::forward<Args>(args)...);
      } else {
        return std::invoke(f_, under_way.instance(), std::forward<Args>(args)...);
      }
    }

   private:
    // f and args are in the caller's frame, until the call is home.
    template <class... Args>
    static std::invoke_result_t<F&, T&, Args&&...> run(visit under_way, F& f, Args&&... args) {
      co_return co_await std::invoke(f, under_way.instance(), std::forward<Args>(args)...);
    }
    sharded* of_;
    F f_;
  };

  /// The way from one stage to another. If it is cut short (a run that ends in spite of shields), the instances go without stop().
  class transition {
   public:
    transition(sharded& of, stage from, stage through) : of_(of) {
      stage found = from;
      // acq_rel: takes over the instances from whoever went before, and gives none away yet
      const bool mine = of.stage_.compare_exchange_strong(found, through, std::memory_order_acq_rel);
      AXLE_CHECK(mine || found != stage::starting, "this sharded is being started: await that first");
      AXLE_CHECK(mine || found != stage::stopping, "this sharded is being stopped: await that first");
      AXLE_CHECK(mine, "this sharded is started already: co_await stop() before you start it again");
      AXLE_CHECK(from == stage::idle || detail::same_run(of.storage_->key, detail::this_loop->key),
                 "this sharded was started in a run that has ended, and not stopped there");
    }
    transition(const transition&) = delete;
    transition& operator=(const transition&) = delete;
    ~transition() {
      if (!done_) of_.abandon();
    }
    void reached(stage now) noexcept {
      done_ = true;
      of_.stage_.store(now,
                       std::memory_order_release);  // release: gives the instances to the next transition
    }

   private:
    sharded& of_;
    bool done_ = false;
  };

  place& place_here(const char* what) const noexcept {
    const detail::loop_core& loop = detail::need_loop(what);
    const table* const all = table_.load(std::memory_order_acquire);  // acquire: pairs with open_table
    AXLE_CHECK(all && detail::same_run(all->key, loop.key),
               "%s on core %u: this sharded is not started in this run: co_await start() first", what,
               loop.core);
    place* const mine = all->of_core[loop.core];
    AXLE_CHECK(mine, "%s on core %u: this sharded is not started there, or stopped already", what, loop.core);
    return *mine;
  }

  template <class Make>
  task<> begin(Make make) {
    transition entering(*this, stage::idle, stage::starting);
    open_table();
    auto became = co_await detail::body_await<void>(make_all(make));
    if (became.has_value()) {
      entering.reached(stage::started);
      co_return;
    }
    detail::failures failed;
    failed.add(became.error());
    {
      const detail::shield_scope guard;
      co_await take_down(failed);
    }
    entering.reached(stage::idle);
    failed.rethrow_if_any();
    co_await checkpoint();
    std::move(became).value();  // `cancelled`, though not by a cancel of this task
  }

  // In one run there is one table, with as many entries as cores: a late look at it finds it, and nothing there.
  void open_table() {
    made_.reserve(core_count());
    const std::uint64_t key = detail::this_loop->key;
    if (!storage_ || abandoned_ || !detail::same_run(storage_->key, key)) {
      abandoned_ = false;
      storage_ = std::make_unique<table>();
      storage_->key = key;
      storage_->of_core.resize(core_count());
    }
    table_.store(storage_.get(), std::memory_order_release);  // release: pairs with place_here
  }

  template <class Make>
  task<> make_all(Make& make) {
    for (unsigned core = 0; core < core_count(); ++core) {
      place* const made = co_await on(core, make_here<Make>, storage_.get(), make);
      made_.push_back(made);
      if constexpr (detail::starts_by_task<T>) co_await on(core, start_here, made);
      ++started_;
    }
  }
  template <class Make>
  static place* make_here(table* all, Make make) {
    auto* const made = new place(make);
    all->of_core[this_core()] = made;
    return made;
  }
  static task<> start_here(place* at) { return at->instance.start(); }

  task<> take_down(detail::failures& failed) {
    while (!made_.empty()) {
      const auto core = static_cast<unsigned>(made_.size() - 1);
      try {
        co_await on(core, wind_down, made_.back(), core < started_);
      } catch (...) {
        failed.add(std::current_exception());
      }
      co_await on(core, destroy_here, storage_.get(), made_.back());
      made_.pop_back();
    }
    started_ = 0;
  }
  static task<> wind_down(place* at, [[maybe_unused]] bool was_started) {
    at->closed = true;
    std::exception_ptr failure;
    if constexpr (detail::stops_by_task<T>) {
      if (was_started) {
        try {
          co_await at->instance.stop();
        } catch (...) {
          failure = std::current_exception();
        }
      }
    }
    if (at->calls) co_await at->idle.wait();
    if (failure) std::rethrow_exception(failure);
  }
  static void destroy_here(table* all, place* at) noexcept {
    all->of_core[this_core()] = nullptr;
    at->give_up();
  }

  void abandon() noexcept {
    table_.store(nullptr, std::memory_order_relaxed);  // for checks only
    while (!made_.empty()) {
      place& last = *made_.back();
      made_.pop_back();
      last.receive = [](detail::message& sent) noexcept { static_cast<place&>(sent).give_up(); };
      detail::send_to_core(static_cast<unsigned>(made_.size()), last);
    }
    started_ = 0;
    abandoned_ = true;
    stage_.store(stage::idle, std::memory_order_release);  // release: pairs with the next transition
  }

  template <class F, class... Args>
  task<> invoke_on_each(bool but_here, F f, Args... args) {
    static_assert(std::is_void_v<value_of<F, Args...>>, "f returns a value: map() gives them all");
    std::vector<task<>> calls;
    for (unsigned core = 0; core < core_count(); ++core)
      if (!but_here || core != this_core()) calls.push_back(invoke_on(core, f, args...));
    co_await gather(std::move(calls));
  }

  std::atomic<stage> stage_{stage::idle};
  std::atomic<table*> table_{nullptr};
  // Of start and stop:
  std::unique_ptr<table> storage_;
  std::vector<place*> made_;  // on the cores from 0 on
  std::size_t started_ = 0;   // of those
  bool abandoned_ = false;    // the table names what is gone
};

}  // namespace axle
