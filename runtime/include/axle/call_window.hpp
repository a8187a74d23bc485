// call_window: how many calls to each other core may be under way at once; further ones wait, first come first served.
//
// One service that floods a core must not be able to starve another: give each its own window, one per core and service (a member
// of what the service has on each core). Calls that name none share one of 1,024 per target. Belongs to one core.
#pragma once

#include <cstddef>
#include <memory>

#include <axle/detail/wait_list.hpp>

namespace axle {

namespace detail {
class far_call;
}

class call_window : detail::core_bound {
 public:
  /// `calls` at once to each core. At least 1, or it is a CHECK.
  explicit call_window(unsigned calls) noexcept : most_(calls) {
    AXLE_CHECK(calls > 0, "a call_window for no call at all");
  }
  /// A CHECK if a call is under way.
  AXLE_EXPORT ~call_window();

  unsigned limit() const noexcept { return most_; }
  /// Calls to that core whose reply is not home yet.
  AXLE_EXPORT unsigned under_way(unsigned core) const noexcept;
  /// Of the calls to that core that had to wait for others.
  AXLE_EXPORT waiting_statistics statistics(unsigned core) const noexcept;

 private:
  friend detail::far_call;
  struct way {
    unsigned under_way = 0;
    detail::wait_list waiting{"call_window"};
  };
  /// Binds it to the calling core. Throws std::bad_alloc.
  void prepare() {
    const detail::loop_core& loop = need_own_loop("a call_window");
    if (cores_ != loop.cores) [[unlikely]]
      make_ways(loop.cores);
  }
  AXLE_EXPORT void make_ways(unsigned cores);

  unsigned most_;
  unsigned cores_ = 0;
  std::unique_ptr<way[]> ways_;
};

}  // namespace axle
