// Reading the machine through hwloc and the cgroup files, and choosing processors for loops. Runs once, at start.
#include <axle/topology.hpp>

#include <hwloc.h>
#include <hwloc/cpukinds.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "index_list.hpp"

namespace axle {

namespace {

struct hwloc_closer {
  void operator()(hwloc_topology* t) const { hwloc_topology_destroy(t); }
};
using hwloc_owner = std::unique_ptr<hwloc_topology, hwloc_closer>;

struct bitmap_closer {
  void operator()(hwloc_bitmap_t set) const { hwloc_bitmap_free(set); }
};
using bitmap_owner = std::unique_ptr<hwloc_bitmap_s, bitmap_closer>;

hwloc_owner load() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) throw std::runtime_error("hwloc could not be initialised");
  hwloc_owner owner(raw);
  // What the cpuset forbids too, to say why it is not used.
  hwloc_topology_set_flags(raw, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  if (hwloc_topology_load(raw) != 0)
    throw std::runtime_error(
        "hwloc could not read the machine; is HWLOC_SYNTHETIC or HWLOC_XMLFILE set wrongly?");
  return owner;
}

unsigned ancestor_index(hwloc_topology_t t, hwloc_obj_t pu, hwloc_obj_type_t type) {
  hwloc_obj_t found = hwloc_get_ancestor_obj_by_type(t, type, pu);
  return found ? found->logical_index : 0;
}

unsigned numa_node_of(hwloc_topology_t t, hwloc_obj_t pu) {
  hwloc_obj_t node = nullptr;
  while ((node = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_NUMANODE, node)))
    if (hwloc_bitmap_isset(node->cpuset, pu->os_index)) return node->os_index;
  return 0;
}

// The speed and the purpose of each processor of a machine with several kinds of core. Where the processors do not say
// what they are made for, the slowest kind is taken for the one that saves power.
void tell_kinds_apart(hwloc_topology_t t, std::vector<processor>& processors) {
  const int kinds = hwloc_cpukinds_get_nr(t, 0);
  if (kinds < 2) return;
  struct kind {
    bitmap_owner set{hwloc_bitmap_alloc()};
    int speed = -1;
    std::string_view made_for;
  };
  std::vector<kind> all(static_cast<std::size_t>(kinds));
  bool told = false;
  for (int i = 0; i < kinds; ++i) {
    kind& each = all[static_cast<std::size_t>(i)];
    unsigned count = 0;
    hwloc_info_s* infos = nullptr;
    if (hwloc_cpukinds_get_info(t, static_cast<unsigned>(i), each.set.get(), &each.speed, &count, &infos,
                                0) != 0)
      return;
    if (each.speed < 0) return;  // hwloc cannot rank them
    for (unsigned k = 0; k < count; ++k)
      if (std::string_view(infos[k].name) == "CoreType") each.made_for = infos[k].value;
    told |= each.made_for == "IntelCore";
  }
  for (processor& p : processors)
    for (const kind& each : all)
      if (hwloc_bitmap_isset(each.set.get(), p.os_index)) {
        p.speed = static_cast<unsigned>(each.speed);
        p.efficiency = told ? each.made_for == "IntelAtom" : each.speed == 0;
      }
}

// Read once: later the thread that asks may be one that is pinned.
const std::optional<std::vector<unsigned>>& affinity_mask() {
  // Larger than cpu_set_t's 1,024 processors needs no care: sched_getaffinity fails then, and the mask is not applied.
  static const auto mask = []() -> std::optional<std::vector<unsigned>> {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return std::nullopt;
    std::vector<unsigned> numbers;
    for (unsigned n = 0; n < CPU_SETSIZE; ++n)
      if (CPU_ISSET(n, &set)) numbers.push_back(n);
    return numbers;
  }();
  return mask;
}

bool lets(const std::optional<std::vector<unsigned>>& limit, unsigned os_index) {
  return !limit || std::find(limit->begin(), limit->end(), os_index) != limit->end();
}

std::string list_of(const std::vector<processor>& all) {
  std::vector<unsigned> numbers;
  for (const processor& each : all) numbers.push_back(each.os_index);
  std::sort(numbers.begin(), numbers.end());
  return detail::index_list(numbers);
}

[[noreturn]] void bad_choice(std::string_view text, const std::string& why) {
  throw std::invalid_argument("cores = \"" + std::string(text) + "\": " + why);
}

unsigned number_in(std::string_view digits, std::string_view whole, const char* of) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size())
    bad_choice(whole, "\"" + std::string(digits) + "\" is no " + of +
                          " number; write \"all\", \"physical\", \"performance\", \"node:0\", a number of "
                          "loops, or a list such as \"0-3,8\"");
  return value;
}

std::vector<unsigned> parse_list(std::string_view text) {
  std::vector<unsigned> numbers;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view item = text.substr(at, comma - at);
    const std::size_t dash = item.find('-');
    const unsigned first = number_in(item.substr(0, dash), text, "processor");
    const unsigned last =
        dash == std::string_view::npos ? first : number_in(item.substr(dash + 1), text, "processor");
    if (last < first) bad_choice(text, "the range " + std::string(item) + " runs backwards");
    if (last - first > 65'536) bad_choice(text, "the range " + std::string(item) + " is absurd");
    for (unsigned n = first; n <= last; ++n) numbers.push_back(n);
    at = comma + 1;
  }
  return numbers;
}

std::optional<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

// What a choice by name takes, of processors in their order. Empty: it is no such choice.
std::vector<processor> named(std::string_view text, const std::vector<processor>& all) {
  constexpr std::string_view node = "node:";
  std::vector<processor> taken = all;
  if (text == "physical") {
    std::erase_if(taken, [](const processor& p) { return p.smt > 0; });
  } else if (text == "performance") {
    std::erase_if(taken, [](const processor& p) { return p.efficiency; });
    if (taken.empty())
      bad_choice(text, "no performance core may be used; this process may use " + list_of(all) +
                           ", which are efficiency cores");
  } else if (text.starts_with(node)) {
    const unsigned wanted = number_in(text.substr(node.size()), text, "node");
    std::erase_if(taken, [&](const processor& p) { return p.numa_node != wanted; });
    if (taken.empty()) {
      std::vector<unsigned> nodes;
      for (const processor& p : all) nodes.push_back(p.numa_node);
      std::sort(nodes.begin(), nodes.end());
      nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
      bad_choice(text, "NUMA node " + std::to_string(wanted) +
                           " does not exist or has no processor that may be used; there are nodes " +
                           detail::index_list(nodes));
    }
  } else if (text != "all") {
    taken.clear();
  }
  return taken;
}

}  // namespace

topology topology::detect() { return detect_under(nullptr); }
topology topology::detect(const process_limits& limits) { return detect_under(&limits); }

topology topology::detect_under(const process_limits* given) {
  const hwloc_owner machine = load();
  hwloc_topology_t t = machine.get();
  topology found;
  found.this_system_ = hwloc_topology_is_thissystem(t) != 0;
  process_limits limits;
  if (given) {
    limits = *given;
  } else if (found.this_system_) {
    limits.affinity = affinity_mask();
    std::ifstream self("/proc/self/cgroup");
    std::stringstream text;
    text << self.rdbuf();
    limits.quota = read_quota("", text.str());
  }
  found.quota_ = limits.quota;

  const auto bar = [&](unsigned os_index, placement_reason why) { found.barred_.push_back({os_index, why}); };
  hwloc_obj_t pu = nullptr;
  while ((pu = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_PU, pu))) {
    const unsigned index = pu->os_index;
    // The kernel takes what the cpuset forbids out of the mask as well: the cpuset is the reason then.
    if (!hwloc_bitmap_isset(hwloc_topology_get_allowed_cpuset(t), index) || !lets(limits.cpuset, index)) {
      bar(index, placement_reason::cpuset);
    } else if (!lets(limits.affinity, index)) {
      bar(index, placement_reason::affinity_mask);
    } else {
      found.processors_.push_back({
          .os_index = index,
          .core = ancestor_index(t, pu, HWLOC_OBJ_CORE),
          .smt = 0,
          .numa_node = numa_node_of(t, pu),
          .package = ancestor_index(t, pu, HWLOC_OBJ_PACKAGE),
      });
    }
  }
  if (found.processors_.empty())
    throw std::runtime_error("no processor is left by the affinity mask and the cpuset");
  const hwloc_const_bitmap_t there = hwloc_topology_get_topology_cpuset(t);
  const hwloc_const_bitmap_t ever = hwloc_topology_get_complete_cpuset(t);
  for (int n = -1; (n = hwloc_bitmap_next(ever, n)) >= 0;)
    if (!hwloc_bitmap_isset(there, static_cast<unsigned>(n)))
      bar(static_cast<unsigned>(n), placement_reason::offline);

  std::sort(found.processors_.begin(), found.processors_.end(),
            [](const processor& a, const processor& b) { return a.os_index < b.os_index; });
  std::map<unsigned, unsigned> threads_of_core;
  for (processor& each : found.processors_) each.smt = threads_of_core[each.core]++;
  tell_kinds_apart(t, found.processors_);
  return found;
}

std::size_t topology::loops_in_quota(std::size_t wanted) const {
  return quota_ > 0 ? std::min(wanted, static_cast<std::size_t>(std::max(1.0, std::ceil(quota_)))) : wanted;
}

std::vector<placement> topology::place(const core_choice& choice) const {
  std::vector<placement> chosen;
  const auto add = [&](const processor& p, bool pinned) {
    chosen.push_back({.os_index = p.os_index, .numa_node = p.numa_node, .pinned = pinned && this_system_});
  };
  if (choice.is_default()) {
    add(processors_.front(), false);
    return chosen;
  }

  // Distinct physical cores come first, the fast ones before the slow ones; then the siblings, which share a core's units.
  std::vector<processor> by_core = processors_;
  std::sort(by_core.begin(), by_core.end(), [](const processor& a, const processor& b) {
    if (a.smt != b.smt) return a.smt < b.smt;
    return a.speed != b.speed ? a.speed > b.speed : a.os_index < b.os_index;
  });

  if (choice.is_count()) {
    if (choice.count() < 1 || choice.count() > 65'536)
      bad_choice(std::to_string(choice.count()), "wants at least one loop, and at most 65,536");
    // More loops than processors take turns on them; pinning would only hinder the kernel then.
    const auto count = static_cast<std::size_t>(choice.count());
    for (std::size_t i = 0; i < count; ++i) add(by_core[i % by_core.size()], count <= by_core.size());
    return chosen;
  }

  const std::string_view text = choice.text();
  if (std::vector<processor> taken = named(text, by_core); !taken.empty()) {
    taken.resize(loops_in_quota(taken.size()));
    for (const processor& p : taken) add(p, true);
    return chosen;
  }

  // "4" as text names processor 4, as with taskset; the number 4 asks for four loops.
  for (const unsigned number : parse_list(text)) {
    const auto known = std::find_if(processors_.begin(), processors_.end(),
                                    [&](const processor& p) { return p.os_index == number; });
    if (known == processors_.end())
      bad_choice(text, "processor " + std::to_string(number) +
                           " does not exist or may not be used; this process may use " +
                           list_of(processors_));
    if (std::any_of(chosen.begin(), chosen.end(), [&](const placement& p) { return p.os_index == number; }))
      bad_choice(text, "processor " + std::to_string(number) + " is named twice");
    add(*known, true);
  }
  return chosen;
}

// The least quota on the way from the process's own group to the root counts.
double topology::read_quota(const std::string& root, const std::string& proc_self_cgroup) {
  double least = 0;
  const auto lower = [&](double cpus) {
    if (cpus > 0 && (least == 0 || cpus < least)) least = cpus;
  };
  std::istringstream lines(proc_self_cgroup);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool v2 = controllers == ",,";
    if (!v2 && controllers.find(",cpu,") == std::string::npos) continue;
    for (std::string path = line.substr(second + 1);; path = path.substr(0, path.rfind('/'))) {
      if (path == "/") path.clear();
      if (v2) {
        if (const auto text = first_line(root + "/sys/fs/cgroup" + path + "/cpu.max")) {
          std::istringstream fields(*text);
          double quota = 0, period = 0;
          if (fields >> quota >> period && period > 0) lower(quota / period);  // "max ..." reads as no number
        }
      } else {
        for (const char* mount : {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}) {
          const auto quota = first_line(root + mount + path + "/cpu.cfs_quota_us");
          const auto period = first_line(root + mount + path + "/cpu.cfs_period_us");
          if (quota && period && std::atof(period->c_str()) > 0)
            lower(std::atof(quota->c_str()) / std::atof(period->c_str()));
        }
      }
      if (path.empty()) break;
    }
  }
  return least;
}

}  // namespace axle
