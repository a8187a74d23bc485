// Reading the machine through hwloc and the cgroup files, and choosing processors for loops. Runs once, at start.
#include <axle/topology.hpp>

#include <hwloc.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>

namespace axle {

namespace {

struct hwloc_closer {
  void operator()(hwloc_topology* t) const { hwloc_topology_destroy(t); }
};
using hwloc_owner = std::unique_ptr<hwloc_topology, hwloc_closer>;

hwloc_owner load() {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) throw std::runtime_error("hwloc could not be initialised");
  hwloc_owner owner(raw);
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
    if (hwloc_bitmap_isset(node->cpuset, pu->os_index)) return node->logical_index;
  return 0;
}

bool in_affinity_mask(unsigned os_index) {
  // Larger than cpu_set_t's 1,024 processors needs no care: sched_getaffinity fails then, and the mask is not applied.
  static const std::optional<cpu_set_t> mask = [] {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? std::optional(set) : std::nullopt;
  }();
  return !mask || (os_index < CPU_SETSIZE && CPU_ISSET(os_index, &*mask));
}

std::string list_of(const std::vector<processor>& all) {
  std::string text;
  for (std::size_t i = 0; i < all.size();) {
    std::size_t last = i;
    while (last + 1 < all.size() && all[last + 1].os_index == all[last].os_index + 1) ++last;
    if (!text.empty()) text += ',';
    text += std::to_string(all[i].os_index);
    if (last > i) text += '-' + std::to_string(all[last].os_index);
    i = last + 1;
  }
  return text;
}

[[noreturn]] void bad_choice(std::string_view text, const std::string& why) {
  throw std::invalid_argument("cores = \"" + std::string(text) + "\": " + why);
}

unsigned number_in(std::string_view digits, std::string_view whole) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size())
    bad_choice(
        whole,
        "\"" + std::string(digits) +
            "\" is no processor number; write \"all\", \"physical\", a number of loops, or a list such "
            "as \"0-3,8\"");
  return value;
}

std::vector<unsigned> parse_list(std::string_view text) {
  std::vector<unsigned> numbers;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view item = text.substr(at, comma - at);
    const std::size_t dash = item.find('-');
    const unsigned first = number_in(item.substr(0, dash), text);
    const unsigned last = dash == std::string_view::npos ? first : number_in(item.substr(dash + 1), text);
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

}  // namespace

topology topology::detect() {
  const hwloc_owner machine = load();
  hwloc_topology_t t = machine.get();
  topology found;
  found.this_system_ = hwloc_topology_is_thissystem(t) != 0;

  hwloc_obj_t pu = nullptr;
  while ((pu = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_PU, pu))) {
    if (found.this_system_ && !in_affinity_mask(pu->os_index)) continue;
    found.processors_.push_back({
        .os_index = pu->os_index,
        .core = ancestor_index(t, pu, HWLOC_OBJ_CORE),
        .smt = pu->sibling_rank,
        .numa_node = numa_node_of(t, pu),
        .package = ancestor_index(t, pu, HWLOC_OBJ_PACKAGE),
    });
  }
  if (found.processors_.empty())
    throw std::runtime_error("no processor is left by the affinity mask and the cpuset");
  std::sort(found.processors_.begin(), found.processors_.end(),
            [](const processor& a, const processor& b) { return a.os_index < b.os_index; });
  if (found.this_system_) {
    std::ifstream self("/proc/self/cgroup");
    std::stringstream text;
    text << self.rdbuf();
    found.quota_ = read_quota("", text.str());
  }
  return found;
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

  // Distinct physical cores come first, then the siblings of the first core, ...
  std::vector<processor> by_core = processors_;
  std::sort(by_core.begin(), by_core.end(), [](const processor& a, const processor& b) {
    return a.smt != b.smt ? a.smt < b.smt : a.os_index < b.os_index;
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
  if (text == "all" || text == "physical") {
    std::size_t most = by_core.size();
    if (quota_ > 0) most = std::min(most, static_cast<std::size_t>(std::max(1.0, std::ceil(quota_))));
    for (const processor& p : by_core) {
      if (chosen.size() == most) break;
      if (text == "all" || p.smt == 0) add(p, true);
    }
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
