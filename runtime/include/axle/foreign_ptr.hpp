// foreign_ptr<T>: owns an object of another core. After Seastar's.
//
//     axle::foreign_ptr<session> mine(std::make_unique<session>());     // of this core, which is its home
//     co_await axle::on(3, keep, std::move(mine));                      // may be moved to any core, and dropped there
//
// Only its home may look at the object, and the object is destroyed there, whoever drops it: a dropped one goes home in the
// block that owns it, so dropping allocates nothing and cannot fail. Many of them travel in one message: runtime/foreign_ptr.cpp
// has the argument. What is on its way home is bounded by what was made.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include <axle/alloc/frame_pool.hpp>
#include <axle/check.hpp>
#include <axle/detail/loop_core.hpp>

namespace axle {

/// Of the objects whose home is one core.
struct foreign_statistics {
  std::size_t alive = 0;                ///< owned by a foreign_ptr somewhere, or on their way home
  std::uint64_t dropped_elsewhere = 0;  ///< destroyed here because another core or thread dropped them
  std::uint64_t batches = 0;            ///< messages that brought those
};
/// Of the calling core, in this run.
AXLE_EXPORT foreign_statistics foreign_ptr_statistics() noexcept;

namespace detail {

struct foreign_home;

/// What stands behind a foreign_ptr: from its home's frame pool, to which it returns.
struct foreign_block {
  foreign_block* next = nullptr;                       // while it goes home
  void (*destroy)(foreign_block&) noexcept = nullptr;  // with what it owns
  foreign_home* home = nullptr;
  std::uint64_t home_key = 0;
};

/// Makes the calling loop the block's home. Throws std::bad_alloc.
AXLE_EXPORT void settle_at_home(foreign_block& fresh);
/// The block is gone, or was never used.
AXLE_EXPORT void leave_home(foreign_home& home) noexcept;
/// Any thread.
AXLE_EXPORT void send_home(foreign_block& dropped) noexcept;
[[noreturn]] AXLE_EXPORT void not_at_home(std::uint64_t home_key) noexcept;

}  // namespace detail

/// Owns, through `Owner` (any pointer that owns and has get()), an object that belongs to one core. Move-only. It may be empty.
template <class T, class Owner = std::unique_ptr<T>>
class foreign_ptr {
 public:
  using element_type = T;

  foreign_ptr() = default;
  /// The calling core becomes the object's home. An empty owner makes an empty foreign_ptr. Throws std::bad_alloc.
  explicit foreign_ptr(Owner object) {
    if (!object) return;
    static_assert(alignof(block) <= 16);
    auto* made = ::new (alloc::frame_allocate(sizeof(block))) block;
    try {
      detail::settle_at_home(*made);
    } catch (...) {
      free(*made);
      throw;
    }
    made->owner = std::move(object);
    block_ = made;
  }
  foreign_ptr(foreign_ptr&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  foreign_ptr& operator=(foreign_ptr&& other) noexcept {
    if (this != &other) {
      reset();
      block_ = std::exchange(other.block_, nullptr);
    }
    return *this;
  }
  ~foreign_ptr() { reset(); }

  /// Destroys the object at home: now, if that is here; else when its core takes its mail, also while the run drains. When the
  /// run has ended there is no home: then here, on the calling thread. Any thread. O(1).
  void reset() noexcept {
    if (block* const mine = std::exchange(block_, nullptr)) detail::send_home(*mine);
  }

  /// The object; null if this is empty. Elsewhere than at home a CHECK that names both cores: go there by on(p.home(), ...).
  T* get() const noexcept {
    if (!block_) return nullptr;
    check_at_home();
    return block_->owner.get();
  }
  T& operator*() const noexcept { return *held(); }
  T* operator->() const noexcept { return held(); }

  /// The core that the object belongs to. Any core; a CHECK if this is empty.
  unsigned home() const noexcept {
    AXLE_CHECK(block_, "this foreign_ptr is empty: it has no home");
    return detail::core_of(block_->home_key);
  }
  /// At home: gives the object up to the caller. Empty if this is empty.
  Owner release() noexcept {
    if (!block_) return Owner();
    check_at_home();
    Owner object = std::move(block_->owner);
    reset();
    return object;
  }
  explicit operator bool() const noexcept { return block_ != nullptr; }

 private:
  struct block : detail::foreign_block {
    block() {
      destroy = [](detail::foreign_block& dropped) noexcept { free(static_cast<block&>(dropped)); };
    }
    Owner owner;
  };
  static void free(block& last) noexcept {
    last.~block();
    alloc::frame_free(&last, sizeof(block));
  }
  void check_at_home() const noexcept {
    if (!detail::this_loop || detail::this_loop->key != block_->home_key) [[unlikely]]
      detail::not_at_home(block_->home_key);
  }
  T* held() const noexcept {
    AXLE_CHECK(block_, "this foreign_ptr is empty");
    return get();
  }

  block* block_ = nullptr;
};

/// A T(args...) of this core.
template <class T, class... Args>
  requires std::constructible_from<T, Args...>
foreign_ptr<T> make_foreign(Args&&... args) {
  return foreign_ptr<T>(std::make_unique<T>(std::forward<Args>(args)...));
}
/// What a unique_ptr, a shared_ptr or another pointer owns.
template <class Owner>
  requires requires(Owner& owner) {
    typename Owner::element_type;
    owner.get();
  }
foreign_ptr<typename Owner::element_type, Owner> make_foreign(Owner object) {
  return foreign_ptr<typename Owner::element_type, Owner>(std::move(object));
}

}  // namespace axle
