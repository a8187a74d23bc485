// The await graph: a snapshot of a core's tasks, the circles in it, and its picture in text. Owning core only.
#include <axle/inspect.hpp>

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <utility>

#include <axle/detail/loop_core.hpp>
#include <axle/detail/wait_edges.hpp>
#include "loop.hpp"

namespace axle {

namespace {

using detail::frame_handle;
using detail::phase;
using id_map = std::unordered_map<std::uint32_t, std::size_t>;

// From the frame that is to go on next out to the root.
void add_awaits(const detail::task_state& task, std::vector<std::source_location>& into) {
  if (task.now == phase::running || task.now == phase::finished || task.foreign) return;
  for (frame_handle frame = task.frame; frame;) {
    const detail::promise_base& promise = frame.promise();
    into.push_back(promise.note.where());
    const detail::child_await* const place = promise.awaited_by;
    if (!place || place->foreign_parent) return;
    frame = place->parent;
  }
}

task_info info_of(const detail::task_state& task, bool& owns) {
  task_info info;
  info.id = task.id;
  info.name = detail::name_of(task);
  info.spawned_at = detail::site_of(task);
  info.state = static_cast<task_state>(task.now);
  info.cancelling = task.cancel_requested;
  add_awaits(task, info.awaits);
  const detail::wait_node* const on = task.waiting();
  if (!on) return info;
  info.waits_for = on->kind->what;
  if (!on->kind->whom) return info;
  detail::wait_edges edges;
  on->kind->whom(*on, edges);
  info.waits_for_tasks = std::move(edges.tasks);
  info.any_will_do = edges.any_will_do;
  info.or_else = edges.or_else;
  owns = edges.owned;
  return info;
}

id_map index_of(const std::vector<task_info>& tasks) {
  id_map at;
  at.reserve(tasks.size());
  for (std::size_t i = 0; i < tasks.size(); ++i) at[tasks[i].id] = i;
  return at;
}

// The largest set of tasks none of which can go on before another of the set has.
class stuck_tasks {
 public:
  explicit stuck_tasks(const std::vector<task_info>& tasks)
      : tasks_(tasks), at_(index_of(tasks)), stuck_(tasks.size(), true) {
    std::vector<std::vector<std::size_t>> waiters(tasks.size());
    std::vector<std::size_t> to_look_at(tasks.size());
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      to_look_at[i] = i;
      for (const std::uint32_t id : tasks[i].waits_for_tasks)
        if (const auto found = at_.find(id); found != at_.end()) waiters[found->second].push_back(i);
    }
    while (!to_look_at.empty()) {
      const std::size_t i = to_look_at.back();
      to_look_at.pop_back();
      if (!stuck_[i] || is_held(tasks[i])) continue;
      stuck_[i] = false;
      to_look_at.insert(to_look_at.end(), waiters[i].begin(), waiters[i].end());
    }
  }

  /// A stuck task that this stuck one waits for.
  std::size_t next_of(std::size_t i) const {
    for (const std::uint32_t id : tasks_[i].waits_for_tasks)
      if (is_stuck(id)) return at_.at(id);
    return i;
  }
  bool operator[](std::size_t i) const { return stuck_[i]; }

 private:
  bool is_stuck(std::uint32_t id) const {
    const auto found = at_.find(id);
    return found != at_.end() && stuck_[found->second];
  }
  bool is_held(const task_info& task) const {
    if (task.or_else || task.cancelling || task.waits_for_tasks.empty()) return false;
    const auto stuck = [this](std::uint32_t id) { return is_stuck(id); };
    const auto& whom = task.waits_for_tasks;
    return task.any_will_do ? std::all_of(whom.begin(), whom.end(), stuck)
                            : std::any_of(whom.begin(), whom.end(), stuck);
  }

  const std::vector<task_info>& tasks_;
  id_map at_;
  std::vector<bool> stuck_;
};

std::string place_of(const std::source_location& where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line());
}

// The picture of a snapshot: a line a task, children below their parents, what looks alike folded.
class picture {
 public:
  explicit picture(const std::vector<task_info>& tasks) : tasks_(tasks) {
    const id_map at = index_of(tasks);
    children_.resize(tasks.size());
    std::vector<std::size_t> roots;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      const auto parent = at.find(tasks[i].parent);
      (parent == at.end() ? roots : children_[parent->second]).push_back(i);
    }
    draw(roots, 0);
  }
  std::string take() { return std::move(text_); }

 private:
  static constexpr std::size_t shown_of_alike = 3;

  void draw(const std::vector<std::size_t>& siblings, std::size_t depth) {
    const std::string margin(2 * depth + 2, ' ');
    std::unordered_map<std::string, std::size_t> seen;
    std::vector<std::pair<std::size_t, std::string>> firsts;
    for (const std::size_t i : siblings) {
      std::string looks = look_of(tasks_[i]);
      const std::size_t count = ++seen[looks];
      if (count == 1) firsts.emplace_back(i, looks);
      if (count > shown_of_alike && children_[i].empty()) continue;
      text_ += margin + "#" + std::to_string(tasks_[i].id);
      if (!tasks_[i].name.empty()) text_ += " \"" + tasks_[i].name + "\"";
      text_ += " " + looks + "\n";
      draw(children_[i], depth + 1);
    }
    for (const auto& [first, looks] : firsts)
      if (seen[looks] > shown_of_alike)
        text_ += margin + "and " + std::to_string(seen[looks] - shown_of_alike) + " more like #" +
                 std::to_string(tasks_[first].id) + "\n";
  }

  static std::string look_of(const task_info& task) {
    constexpr const char* state[] = {"pending", "running", "suspended", "finished"};
    std::string text = state[static_cast<std::size_t>(task.state)];
    if (task.cancelling) text += ", asked to end";
    if (!task.waits_for.empty()) {
      text += ", waits for " + std::string(task.waits_for);
      if (!task.waits_for_tasks.empty()) text += whom(task);
    }
    const char* before = " at ";
    for (const std::source_location& each : task.awaits) {
      text += before + place_of(each);
      before = " < ";
    }
    if (task.spawned_at.line()) text += ", spawned at " + place_of(task.spawned_at);
    return text;
  }

  static std::string whom(const task_info& task) {
    constexpr std::size_t shown = 4;
    std::string text = task.any_will_do ? " (any of" : " (";
    for (std::size_t i = 0; i < std::min(shown, task.waits_for_tasks.size()); ++i)
      text += (i || task.any_will_do ? " #" : "#") + std::to_string(task.waits_for_tasks[i]);
    if (task.waits_for_tasks.size() > shown)
      text += " and " + std::to_string(task.waits_for_tasks.size() - shown) + " more";
    return text + ")";
  }

  const std::vector<task_info>& tasks_;
  std::vector<std::vector<std::size_t>> children_;
  std::string text_;
};

}  // namespace

std::vector<task_info> all_tasks() {
  const detail::loop_core& loop = detail::need_loop("all_tasks");
  std::vector<task_info> all;
  all.reserve(loop.task_count);
  std::vector<std::size_t> parents;
  for (const detail::task_state* each = loop.all_tasks; each; each = each->next_task) {
    bool owns = false;
    all.push_back(info_of(*each, owns));
    if (owns) parents.push_back(all.size() - 1);
  }
  const id_map at = index_of(all);
  for (const std::size_t parent : parents)
    for (const std::uint32_t child : all[parent].waits_for_tasks)
      if (const auto found = at.find(child); found != at.end()) all[found->second].parent = all[parent].id;
  std::reverse(all.begin(), all.end());
  return all;
}

std::vector<std::vector<std::uint32_t>> deadlocks(const std::vector<task_info>& tasks) {
  const stuck_tasks stuck(tasks);
  std::vector<std::vector<std::uint32_t>> circles;
  constexpr std::size_t never = 0;
  std::vector<std::size_t> walked(tasks.size(), never);  // the number of the walk that came by
  for (std::size_t start = 0; start < tasks.size(); ++start) {
    std::size_t i = start;
    for (; stuck[i] && walked[i] == never; i = stuck.next_of(i)) walked[i] = start + 1;
    if (!stuck[i] || walked[i] != start + 1) continue;
    std::vector<std::uint32_t> circle;
    const std::size_t first = i;
    do {
      circle.push_back(tasks[i].id);
      i = stuck.next_of(i);
    } while (i != first);
    circles.push_back(std::move(circle));
  }
  return circles;
}

std::vector<std::vector<std::uint32_t>> deadlocks() { return deadlocks(all_tasks()); }

std::string describe(const std::vector<task_info>& tasks) {
  std::string text = std::to_string(tasks.size()) + (tasks.size() == 1 ? " task\n" : " tasks\n");
  text += picture(tasks).take();
  for (const std::vector<std::uint32_t>& circle : deadlocks(tasks)) {
    text += "deadlock: ";
    for (const std::uint32_t id : circle) text += "#" + std::to_string(id) + " waits for ";
    text += "#" + std::to_string(circle.front()) + "\n";
  }
  return text;
}

void dump_tasks(std::FILE* to) {
  const std::string text = describe(all_tasks());
  std::fprintf(to, "axle: core %u: %s", detail::this_loop->core, text.c_str());
  std::fflush(to);
}

}  // namespace axle
