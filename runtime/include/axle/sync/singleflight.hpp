// singleflight: callers who ask for the same at the same time share one execution. After Go's x/sync/singleflight.
//
// The execution, a flight, is a task of its own: it belongs to no caller, and goes on as long as one waits for it. The last
// to give up cancels it and ends when it has ended, so nothing is orphaned; who asks anew meanwhile waits for that end and then
// begins another. Of one key there is never more than one flight. Single core, no atomics.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include <axle/detail/wait_list.hpp>
#include <axle/outcome.hpp>
#include <axle/shield.hpp>
#include <axle/spawn.hpp>
#include <axle/task.hpp>

namespace axle {

struct singleflight_statistics {
  std::size_t flights;    ///< that are under way
  std::uint64_t started;  ///< flights so far
  std::uint64_t shared;   ///< calls that joined one that another had begun
};

namespace detail {

/// A flight without its key and value. Counted: callers hold it until they have read the outcome.
class flight_base : end_hook {
 public:
  flight_base(const flight_base&) = delete;
  flight_base& operator=(const flight_base&) = delete;

  /// Its last caller has cancelled it, and it has not ended yet.
  bool given_up() const noexcept { return given_up_; }
  AXLE_EXPORT void begin(task_state& work) noexcept;

  /// Of a caller: until the flight has ended. There is a cancel to come only after it has been suspended.
  class [[nodiscard]] wait_await : list_waiter {
   public:
    explicit wait_await(flight_base& of) noexcept : of_(of) { kind = &kind_of; }
    wait_await(const wait_await&) = delete;
    wait_await& operator=(const wait_await&) = delete;
    bool await_ready() const noexcept { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      AXLE_CHECK(this_loop->current != of_.work_, "a flight that asks for its own key would wait for itself");
      if (suspend_on(h, *this, "singleflight")) of_.callers_.push_back(*this);
    }
    void await_resume() const { throw_if_cut(); }

   private:
    friend flight_base;
    AXLE_EXPORT static const wait_kind kind_of;
    AXLE_EXPORT static const wait_kind last_kind;
    flight_base& of_;
  };
  /// Of one who comes when it was given up: until it has ended.
  class [[nodiscard]] landing_await : list_waiter {
   public:
    explicit landing_await(flight_base& of) noexcept : of_(of) { kind = &kind_of; }
    landing_await(const landing_await&) = delete;
    landing_await& operator=(const landing_await&) = delete;
    bool await_ready() const noexcept { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      AXLE_CHECK(this_loop->current != of_.work_, "a flight that asks for its own key would wait for itself");
      if (suspend_on(h, *this, "singleflight: the one before")) of_.later_.push_back(*this);
    }
    void await_resume() const { throw_if_cut(); }

   private:
    AXLE_EXPORT static const wait_kind kind_of;
    flight_base& of_;
  };

  void add_reference() noexcept { ++references_; }
  void drop_reference() noexcept {
    if (--references_ == 0) destroy_(*this);
  }
  bool is_last_reference() const noexcept { return references_ == 1; }

 protected:
  /// Keeps the outcome, and lets the key be forgotten.
  using landing = void (*)(flight_base&, task_state&) noexcept;
  using destruction = void (*)(flight_base&) noexcept;
  flight_base(landing landed, destruction destroy) noexcept : landed_(landed), destroy_(destroy) {}
  ~flight_base() = default;

 private:
  static void on_ended(end_hook& hook, task_state& work) noexcept;

  task_state* work_ = nullptr;
  wait_list callers_{"singleflight"};
  wait_list later_{"singleflight"};
  landing landed_;
  destruction destroy_;
  std::size_t references_ = 0;
  bool given_up_ = false;
};

template <class Flight>
class flight_link {
 public:
  flight_link() = default;
  explicit flight_link(Flight* to) noexcept : to_(to) {
    if (to_) to_->add_reference();
  }
  flight_link(const flight_link&) = delete;
  flight_link& operator=(const flight_link&) = delete;
  ~flight_link() {
    if (to_) to_->drop_reference();
  }
  Flight* operator->() const noexcept { return to_; }
  Flight& operator*() const noexcept { return *to_; }
  explicit operator bool() const noexcept { return to_ != nullptr; }

 private:
  Flight* to_ = nullptr;
};

}  // namespace detail

template <class Key, class T, class Hash = std::hash<Key>, class Equal = std::equal_to<Key>>
class singleflight : detail::core_bound {
  static_assert(std::is_void_v<T> || (std::copy_constructible<T> && !std::is_reference_v<T>),
                "each caller gets a copy of the value");

 public:
  singleflight() = default;
  ~singleflight() {
    AXLE_CHECK(flights_.empty(), "a singleflight was destroyed while %zu flights are under way",
               flights_.size());
  }

  /// What f(args...), which returns a task<T>, gives: its value, copied, or its exception. If a flight with this key is under way,
  /// f is not called and what that one gives is given. Callable and arguments live as long as the flight, which may be
  /// longer than this caller: pass no references to what is the caller's.
  template <class F, class... Args>
    requires detail::makes_task<F, Args...>
  task<T> run(Key key, F f, Args... args) {
    static_assert(std::is_same_v<std::invoke_result_t<F&, Args&&...>, task<T>>, "f must return task<T>");
    need_own_loop("a singleflight");
    for (;;) {
      co_await checkpoint();  // nothing is begun for one who is to end
      const link before(find(key));
      if (!before || !before->given_up()) break;
      co_await detail::flight_base::landing_await(*before);
    }
    flight* under_way = find(key);
    if (under_way) {
      ++shared_;
    } else {
      under_way = &start(std::move(key), std::move(f), std::move(args)...);
    }
    const link mine(under_way);
    co_await detail::flight_base::wait_await(*mine);
    // Who reads it last may have it.
    if (mine->is_last_reference()) co_return std::move(mine->became).value();
    co_return mine->copy();
  }

  singleflight_statistics statistics() const noexcept { return {flights_.size(), started_, shared_}; }

 private:
  struct flight final : detail::flight_base {
    explicit flight(singleflight& in) noexcept : flight_base(on_landed, on_unused), of(in) {}
    T copy() const {
      if constexpr (std::is_void_v<T>) {
        return outcome<T>(became).value();
      } else {
        return became.look();
      }
    }
    static void on_landed(flight_base& base, detail::task_state& work) noexcept {
      auto& mine = static_cast<flight&>(base);
      mine.became = detail::outcome_of<T>(work);
      mine.of.flights_.erase(mine.of.flights_.find(*mine.key));
    }
    static void on_unused(flight_base& base) noexcept { delete &static_cast<flight&>(base); }

    singleflight& of;
    const Key* key = nullptr;  // in the map
    outcome<T> became;
  };
  using link = detail::flight_link<flight>;

  flight* find(const Key& key) {
    const auto found = flights_.find(key);
    return found == flights_.end() ? nullptr : found->second;
  }

  // Throws std::bad_alloc, and has then begun nothing.
  template <class F, class... Args>
  flight& start(Key key, F f, Args... args) {
    const link made(new flight(*this));
    const auto place = flights_.try_emplace(std::move(key), &*made).first;
    made->key = &place->first;
    try {
      auto work = detail::call_owned(std::move(f), std::move(args)...);
      made->begin(detail::make_task(work.release(), {}, std::source_location::current()));
    } catch (...) {
      flights_.erase(place);
      throw;
    }
    ++started_;
    return *made;
  }

  std::unordered_map<Key, flight*, Hash, Equal> flights_;
  std::uint64_t started_ = 0;
  std::uint64_t shared_ = 0;
};

}  // namespace axle
