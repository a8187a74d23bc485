// The slow half of frame_pool: refilling from slabs, blocks above the largest class, parking and adoption.
#include <axle/alloc/frame_pool.hpp>

#include <cstring>
#include <mutex>
#include <new>
#include <vector>

namespace axle::alloc {

namespace detail {
thread_local constinit frame_pool this_frame_pool;
}

namespace {
thread_local constinit std::int64_t failing_in = -1;

bool must_fail() noexcept {
  if (failing_in < 0) [[likely]]
    return false;
  return failing_in-- == 0;
}
}  // namespace

void fail_frame_allocation_after(std::int64_t n) noexcept { failing_in = n; }

// Pools of ended threads, waiting for a thread that needs one. Never destroyed: frames of other threads'
// static objects may outlive main.
struct frame_pool_parking {
  std::mutex lock;
  std::vector<frame_pool> parked;

  static frame_pool_parking& instance() {
    static auto* parking = new frame_pool_parking;
    return *parking;
  }

  static void adopt(frame_pool& pool) {
    frame_pool_parking& parking = instance();
    const std::lock_guard guard(parking.lock);
    if (parking.parked.empty()) return;
    const frame_pool& old = parking.parked.back();
    std::memcpy(pool.free_, old.free_, sizeof pool.free_);
    pool.top_ = old.top_;
    pool.end_ = old.end_;
    parking.parked.pop_back();
  }

  // Runs when the owning thread ends. What is freed on this thread afterwards stays unused: safe.
  struct parker {
    ~parker() {
      frame_pool_parking& parking = instance();
      const std::lock_guard guard(parking.lock);
      parking.parked.push_back(detail::this_frame_pool);
      detail::this_frame_pool = frame_pool{};
    }
  };
  static void park_at_thread_end() { static thread_local const parker at_exit; }
};

void* frame_pool::allocate_slowly(std::size_t bytes) {
  if (must_fail()) throw std::bad_alloc();
#if defined(AXLE_PLAIN_FRAMES)
  void* plain = ::operator new(bytes);
  ++allocated_;
  return plain;
#else
  const std::size_t index = class_of(bytes);
  if (index >= class_count) {
    void* large = ::operator new(bytes);
    ++allocated_;
    ++oversize_;
    return large;
  }
  if (!registered_) {
    registered_ = true;
    frame_pool_parking::adopt(*this);
    frame_pool_parking::park_at_thread_end();
    if (free_[index]) return allocate(bytes);
  }
  const std::size_t size = index ? index * granule_bytes : granule_bytes;
  if (static_cast<std::size_t>(end_ - top_) < size) refill();
  void* fresh = top_;
  top_ += size;
  ++allocated_;
  return fresh;
#endif
}

void frame_pool::free_slowly(void* memory, std::size_t bytes) noexcept {
  ++freed_;
  ::operator delete(memory, bytes);
}

// The rest of the old slab goes to the class it fits, so nothing is lost.
void frame_pool::refill() {
  auto* slab = static_cast<std::byte*>(::operator new(slab_bytes));
  if (const auto rest = static_cast<std::size_t>(end_ - top_); rest >= granule_bytes) {
    auto* left = reinterpret_cast<block*>(top_);
    left->next = free_[rest / granule_bytes];
    free_[rest / granule_bytes] = left;
  }
  top_ = slab;
  end_ = slab + slab_bytes;
  ++slabs_;
}

frame_pool_counts frame_pool::counts() const noexcept {
  return {.allocated = allocated_, .freed = freed_, .oversize = oversize_, .slab_bytes = slabs_ * slab_bytes};
}

}  // namespace axle::alloc
