// topology: which processors this process may use, and which of them the loops are placed on.
//
// Read through hwloc, so that HWLOC_SYNTHETIC and HWLOC_XMLFILE give any machine for tests. The affinity mask, the
// cpuset and the cgroup CPU quota (versions 1 and 2) are respected.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <axle/alloc/frame_pool.hpp>  // AXLE_EXPORT

namespace axle {

/// One hardware thread that the process may run on.
struct processor {
  unsigned os_index;  ///< the number the operating system gives it
  unsigned core;      ///< physical core, counted from 0 over the machine
  unsigned smt;       ///< 0 for a core's first hardware thread, 1 for its sibling, ...
  unsigned numa_node;
  unsigned package;
};

/// Which cores run() is to use: nothing (one loop, not pinned), a number of loops, "all", "physical" (one loop a
/// physical core), or a list such as "0-3,8" of the operating system's numbers. Text is not copied.
class core_choice {
 public:
  constexpr core_choice() = default;
  constexpr core_choice(const char* text) : text_(text) {}
  constexpr core_choice(std::string_view text) : text_(text) {}
  core_choice(const std::string& text) : text_(text) {}
  constexpr core_choice(int count) : count_(count), counted_(true) {}
  constexpr core_choice(unsigned count) : count_(static_cast<int>(count)), counted_(true) {}

  constexpr bool is_default() const { return text_.empty() && !counted_; }
  constexpr bool is_count() const { return counted_; }
  constexpr int count() const { return count_; }
  constexpr std::string_view text() const { return text_; }

 private:
  std::string_view text_;
  int count_ = 0;
  bool counted_ = false;
};

/// Where one loop goes.
struct placement {
  unsigned os_index;
  unsigned numa_node;
  bool pinned;
};

class topology {
 public:
  /// Reads the machine. Throws std::runtime_error if hwloc cannot.
  AXLE_EXPORT static topology detect();

  /// The processors that may be used, in the system's order.
  const std::vector<processor>& processors() const noexcept { return processors_; }
  /// How many processors' worth of time the cgroup allows; 0: no quota.
  double quota() const noexcept { return quota_; }
  /// Whether this is the machine we run on, and not a synthetic one; only then are threads pinned.
  bool is_this_system() const noexcept { return this_system_; }

  /// The loops for a choice. Throws std::invalid_argument that names what is wrong and what exists.
  AXLE_EXPORT std::vector<placement> place(const core_choice& choice) const;

  /// The quota that a tree of cgroup files gives to the process described by `proc_self_cgroup`; 0: none. For tests the
  /// root of the file system can be moved.
  AXLE_EXPORT static double read_quota(const std::string& file_system_root,
                                       const std::string& proc_self_cgroup);

 private:
  std::vector<processor> processors_;
  double quota_ = 0;
  bool this_system_ = true;
};

}  // namespace axle
