// A placement in words. place() decides; what stands here only tells why, from the same facts.
#include <axle/topology.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>
#include <utility>

#include "index_list.hpp"

namespace axle {

namespace {

std::string counted(std::size_t n, const char* of) {
  return std::to_string(n) + " " + of + (n == 1 ? "" : "s");
}

std::string quota_in_words(double quota) {
  char text[64];
  std::snprintf(text, sizeof text, "the CPU quota of %.4g %s", quota,
                quota == 1 ? "processor" : "processors");
  return text;
}

std::string choice_in_words(const core_choice& choice) {
  if (choice.is_default()) return "one loop";
  return "cores = " +
         (choice.is_count() ? std::to_string(choice.count()) : '"' + std::string(choice.text()) + '"');
}

bool is_by_name(std::string_view text) {
  return text == "all" || text == "physical" || text == "performance" || text.starts_with("node:");
}

const char* why_barred(placement_reason why) {
  if (why == placement_reason::affinity_mask) return "not in the affinity mask of this process";
  if (why == placement_reason::cpuset) return "not in the cpuset of this process's cgroup";
  return "offline";
}

// Why a processor that may be used is not, or what it is.
class reasons {
 public:
  reasons(const topology& machine, const core_choice& choice, const std::vector<placement>& places)
      : choice_(choice), loops_(places.size()), node_(places.front().numa_node), quota_(machine.quota()) {
    std::vector<unsigned> fast;
    for (const processor& p : machine.processors()) {
      if (p.smt == 0) first_of_core_[p.core] = p.os_index;
      if (!p.efficiency) fast.push_back(p.os_index);
    }
    fast_ = detail::index_list(fast);
    for (const placement& each : places) used_.insert(each.os_index);
  }

  void tell(const processor& p, processor_use& into) const {
    if (choice_.is_default()) {
      into.loops.clear();
      return say(into, placement_reason::any_of_these, "the one loop is not pinned: it may run here");
    }
    if (!into.loops.empty()) return say(into, placement_reason::chosen, what_it_is(p));
    const std::string_view text = choice_.text();
    if (choice_.is_count()) {
      const std::string enough = counted(loops_, "loop") + (loops_ == 1 ? " was" : " were") + " asked for";
      if (has_used_sibling(p)) return say(into, placement_reason::smt_sibling, sibling(p) + "; " + enough);
      if (p.efficiency) return say(into, placement_reason::efficiency_core, slower() + "; " + enough);
      return say(into, placement_reason::not_asked_for, "not asked for: " + enough);
    }
    if (!is_by_name(text))
      return say(into, placement_reason::not_asked_for, "not asked for: not in \"" + std::string(text) + '"');
    if (text == "physical" && p.smt > 0) return say(into, placement_reason::smt_sibling, sibling(p));
    if (text == "performance" && p.efficiency) return say(into, placement_reason::efficiency_core, slower());
    if (text.starts_with("node:") && p.numa_node != node_)
      return say(into, placement_reason::other_node, "on NUMA node " + std::to_string(p.numa_node));
    say(into, placement_reason::quota, quota_in_words(quota_) + " allows " + counted(loops_, "loop"));
  }

 private:
  static void say(processor_use& into, placement_reason reason, std::string words) {
    into.reason = reason;
    into.words = std::move(words);
  }
  std::string sibling(const processor& p) const {
    return "SMT sibling of processor " + std::to_string(first_of_core_.at(p.core));
  }
  bool has_used_sibling(const processor& p) const {
    return p.smt > 0 && used_.contains(first_of_core_.at(p.core));
  }
  std::string slower() const {
    return "an efficiency core" + (fast_.empty() ? std::string() : ", slower than processors " + fast_);
  }
  std::string what_it_is(const processor& p) const {
    std::string words = p.smt > 0 ? sibling(p) : "first thread of core " + std::to_string(p.core);
    if (p.efficiency) words += ", an efficiency core";
    return words;
  }

  const core_choice& choice_;
  std::size_t loops_;
  unsigned node_;  // of "node:N"
  double quota_;
  std::map<unsigned, unsigned> first_of_core_;
  std::set<unsigned> used_;
  std::string fast_;
};

std::vector<std::string> notes_on(const topology& machine, const core_choice& choice,
                                  const std::vector<placement>& places, std::size_t on, std::size_t there) {
  const std::string usable = counted(machine.processors().size(), "processor");
  if (choice.is_default()) return {"one loop, not pinned, on any of " + usable};
  std::vector<std::string> notes;
  notes.push_back(choice_in_words(choice) + ": " + counted(places.size(), "loop") + " on " +
                  std::to_string(on) + " of " + counted(there, "processor"));
  if (!machine.is_this_system()) {
    notes.emplace_back("not pinned: this is not the machine we run on");
  } else if (!places.front().pinned) {
    notes.emplace_back("not pinned: the kernel moves the loops as it likes");
  }
  if (places.size() > machine.processors().size())
    notes.push_back("oversubscribed: " + counted(places.size(), "loop") + " take turns on " + usable +
                    ", so that one which works holds up others");
  if (machine.quota() <= 0) return notes;
  const double all_of_it = std::ceil(machine.quota());
  if (static_cast<double>(places.size()) > all_of_it) {
    notes.push_back(quota_in_words(machine.quota()) + " is less than " + counted(places.size(), "loop") +
                    " can use: under load the kernel stops all of them for a part of each period");
  } else {
    char allowed[32];
    std::snprintf(allowed, sizeof allowed, "%.0f", all_of_it);
    notes.push_back(quota_in_words(machine.quota()) + " allows " + allowed +
                    (all_of_it == 1 ? " loop" : " loops"));
  }
  return notes;
}

}  // namespace

placement_explanation topology::explain(const core_choice& choice) const {
  const std::vector<placement> places = place(choice);
  std::map<unsigned, processor_use> uses;
  for (unsigned loop = 0; loop < places.size(); ++loop) uses[places[loop].os_index].loops.push_back(loop);
  const std::size_t on = uses.size();
  const reasons why(*this, choice, places);
  for (const processor& p : processors_) why.tell(p, uses[p.os_index]);
  for (const barred& p : barred_) {
    uses[p.os_index].reason = p.why;
    uses[p.os_index].words = why_barred(p.why);
  }
  placement_explanation all{.notes = notes_on(*this, choice, places, on, uses.size()), .processors = {}};
  for (auto& [os_index, use] : uses) {
    use.os_index = os_index;
    all.processors.push_back(std::move(use));
  }
  return all;
}

std::string to_string(const placement_explanation& explanation) {
  std::string text;
  for (const std::string& note : explanation.notes) text += note + '\n';
  const auto& all = explanation.processors;
  for (std::size_t i = 0; i < all.size();) {
    std::vector<unsigned> alike;
    std::size_t next = i;
    for (; next < all.size() && all[next].loops == all[i].loops && all[next].words == all[i].words; ++next)
      alike.push_back(all[next].os_index);
    text += (alike.size() == 1 ? "processor " : "processors ") + detail::index_list(alike);
    if (!all[i].loops.empty()) {
      text += (all[i].loops.size() == 1 ? ": loop " : ": loops ") + detail::index_list(all[i].loops) + ", ";
    } else {
      text += all[i].reason == placement_reason::any_of_these ? ": " : " not used: ";
    }
    text += all[i].words + '\n';
    i = next;
  }
  return text;
}

}  // namespace axle
