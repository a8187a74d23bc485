// topology: which processors this process may use, which of them the loops are placed on, and why, in words.
//
// Read through hwloc, so that HWLOC_SYNTHETIC and HWLOC_XMLFILE give any machine for tests. The affinity mask, the
// cpuset and the cgroup CPU quota (versions 1 and 2) are respected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <axle/alloc/frame_pool.hpp>  // AXLE_EXPORT

namespace axle {

/// One hardware thread that the process may run on.
struct processor {
  unsigned os_index;   ///< the number the operating system gives it
  unsigned core;       ///< physical core, counted from 0 over the machine
  unsigned smt;        ///< of a core's threads that may be used: 0 the first, 1 its sibling, ...
  unsigned numa_node;  ///< the number the operating system gives it
  unsigned package;
  unsigned speed = 0;       ///< of the machine's kinds of core: 0 the slowest, or all are alike
  bool efficiency = false;  ///< made to save power, where others are made to be fast
};

/// Which cores run() is to use. Text is not copied.
///   nothing        one loop, not pinned
///   a number       that many loops, on distinct cores first; pinned, unless there are more loops than processors
///   "all"          a loop on each processor, fast cores first, SMT siblings last
///   "physical"     a loop on each physical core
///   "performance"  like "all", without efficiency cores
///   "node:1"       like "all", on one NUMA node
///   "0-3,8"        these, by the operating system's numbers
/// The four by name make no more loops than the CPU quota, rounded up, lets run at once.
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

/// What lets a process use less than its machine.
struct process_limits {
  std::optional<std::vector<unsigned>> affinity;  ///< the processors of the affinity mask; none: all
  std::optional<std::vector<unsigned>>
      cpuset;        ///< of the cgroup's cpuset, beside what hwloc found; none: all
  double quota = 0;  ///< processors' worth of time; 0: no quota
};

/// Why loops stand on a processor, or none does.
enum class placement_reason : std::uint8_t {
  chosen,           ///< loops stand on it
  any_of_these,     ///< the one loop is not pinned and may run here
  smt_sibling,      ///< its core has a loop, and one a core was asked for or enough
  efficiency_core,  ///< faster cores were asked for or enough
  other_node,       ///< another NUMA node was asked for
  not_asked_for,    ///< not in the list, or enough loops stand elsewhere
  quota,            ///< the CPU quota allows no more loops
  affinity_mask,    ///< the process may not: its affinity mask
  cpuset,           ///< the process may not: its cgroup's cpuset
  offline,          ///< switched off
};

/// What one processor of the machine is used for.
struct processor_use {
  unsigned os_index;
  std::vector<unsigned> loops;  ///< that stand on it; several take turns
  placement_reason reason;
  std::string words;  ///< the reason, for people
};

/// A placement with its reasons.
struct placement_explanation {
  std::vector<std::string>
      notes;  ///< what holds for all: how many loops, pinned or not, quota, oversubscription
  std::vector<processor_use> processors;  ///< every one of the machine, by os_index
};

/// The same as lines of text; neighbours with the same fate share a line.
AXLE_EXPORT std::string to_string(const placement_explanation& explanation);

class topology {
 public:
  /// Reads the machine. Throws std::runtime_error if hwloc cannot.
  AXLE_EXPORT static topology detect();
  /// The same under limits that are given, not read: what would run where.
  AXLE_EXPORT static topology detect(const process_limits& limits);

  /// The processors that may be used, in the system's order.
  const std::vector<processor>& processors() const noexcept { return processors_; }
  /// How many processors' worth of time the cgroup allows; 0: no quota.
  double quota() const noexcept { return quota_; }
  /// Whether this is the machine we run on, and not a synthetic one; only then are threads pinned.
  bool is_this_system() const noexcept { return this_system_; }

  /// The loops for a choice. Throws std::invalid_argument that names what is wrong and what exists.
  AXLE_EXPORT std::vector<placement> place(const core_choice& choice) const;
  /// For each processor of the machine, why place(choice) puts loops there or why not. Throws what place() throws.
  AXLE_EXPORT placement_explanation explain(const core_choice& choice) const;

  /// The quota that a tree of cgroup files gives to the process described by `proc_self_cgroup`; 0: none. For tests the
  /// root of the file system can be moved.
  AXLE_EXPORT static double read_quota(const std::string& file_system_root,
                                       const std::string& proc_self_cgroup);

 private:
  struct barred {
    unsigned os_index;
    placement_reason why;
  };

  static topology detect_under(const process_limits* given);
  std::size_t loops_in_quota(std::size_t wanted) const;

  std::vector<processor> processors_;
  std::vector<barred> barred_;  // the machine's other processors
  double quota_ = 0;
  bool this_system_ = true;
};

}  // namespace axle
