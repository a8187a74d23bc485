// topology::explain: for each processor of a machine, why loops stand there or why not; the words, and that they agree with
// place() on every machine and choice.
#include <axle/topology.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using axle::placement;
using axle::placement_explanation;
using axle::placement_reason;
using axle::process_limits;
using axle::topology;

using numbers = std::vector<unsigned>;

class explanation : public testing::Test {
 protected:
  static topology synthetic(const char* description, const process_limits& limits = {}) {
    setenv("HWLOC_SYNTHETIC", description, 1);
    return topology::detect(limits);
  }
  static std::filesystem::path hybrid_machine() {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "hybrid_machine.xml";
  }
  static topology hybrid(const process_limits& limits = {}) {
    setenv("HWLOC_XMLFILE", hybrid_machine().c_str(), 1);
    return topology::detect(limits);
  }
  void TearDown() override {
    unsetenv("HWLOC_SYNTHETIC");
    unsetenv("HWLOC_XMLFILE");
  }

  static std::string text(const topology& machine, const axle::core_choice& choice) {
    return to_string(machine.explain(choice));
  }
  static bool has(const std::string& text, const std::string& line) {
    return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
  }
};

TEST_F(explanation, of_one_loop_a_core) {
  EXPECT_EQ(text(synthetic("core:2 pu:2"), "physical"),
            "cores = \"physical\": 2 loops on 2 of 4 processors\n"
            "not pinned: this is not the machine we run on\n"
            "processor 0: loop 0, first thread of core 0\n"
            "processor 1 not used: SMT sibling of processor 0\n"
            "processor 2: loop 1, first thread of core 1\n"
            "processor 3 not used: SMT sibling of processor 2\n");
}

TEST_F(explanation, of_what_the_process_may_not_use) {
  const topology machine =
      synthetic("core:6 pu:1", {.affinity = numbers{0, 1, 4}, .cpuset = numbers{0, 1, 2, 3}});
  EXPECT_EQ(text(machine, "all"),
            "cores = \"all\": 2 loops on 2 of 6 processors\n"
            "not pinned: this is not the machine we run on\n"
            "processor 0: loop 0, first thread of core 0\n"
            "processor 1: loop 1, first thread of core 1\n"
            "processors 2-3 not used: not in the affinity mask of this process\n"
            "processors 4-5 not used: not in the cpuset of this process's cgroup\n");
  const placement_explanation all = machine.explain("all");
  EXPECT_EQ(all.processors.at(3).reason, placement_reason::affinity_mask);
  EXPECT_EQ(all.processors.at(4).reason, placement_reason::cpuset) << "in neither: the cpuset is the reason";
}

TEST_F(explanation, of_the_quota) {
  const std::string words = text(synthetic("core:4 pu:1", {.quota = 2.5}), "all");
  EXPECT_TRUE(has(words, "the CPU quota of 2.5 processors allows 3 loops")) << words;
  EXPECT_TRUE(has(words, "processor 3 not used: the CPU quota of 2.5 processors allows 3 loops")) << words;
  EXPECT_TRUE(
      has(text(synthetic("core:4 pu:1", {.quota = 1}), "all"), "the CPU quota of 1 processor allows 1 loop"));
}

TEST_F(explanation, of_a_number_above_the_quota) {
  const std::string words = text(synthetic("core:4 pu:1", {.quota = 1.5}), 4);
  EXPECT_TRUE(
      has(words,
          "the CPU quota of 1.5 processors is less than 4 loops can use: under load the kernel stops all of "
          "them for a part of each period"))
      << words;
}

TEST_F(explanation, of_more_loops_than_processors) {
  const topology machine = synthetic("core:2 pu:1");
  const std::string words = text(machine, 5);
  EXPECT_TRUE(has(words, "cores = 5: 5 loops on 2 of 2 processors")) << words;
  EXPECT_TRUE(has(
      words, "oversubscribed: 5 loops take turns on 2 processors, so that one which works holds up others"))
      << words;
  EXPECT_TRUE(has(words, "processor 0: loops 0,2,4, first thread of core 0")) << words;
  EXPECT_EQ(machine.explain(5).processors.at(1).loops, (numbers{1, 3}));
  EXPECT_EQ(text(machine, 2).find("oversubscribed"), std::string::npos);
}

TEST_F(explanation, of_a_list) {
  const std::string words = text(synthetic("core:8 pu:1"), "1,3");
  EXPECT_TRUE(has(words, "processor 3: loop 1, first thread of core 3")) << words;
  EXPECT_TRUE(has(words, "processors 4-7 not used: not asked for: not in \"1,3\"")) << words;
}

TEST_F(explanation, of_a_number) {
  const std::string words = text(synthetic("core:3 pu:2"), 2);
  EXPECT_TRUE(has(words, "processor 1 not used: SMT sibling of processor 0; 2 loops were asked for"))
      << words;
  EXPECT_TRUE(has(words, "processors 4-5 not used: not asked for: 2 loops were asked for")) << words;
}

TEST_F(explanation, of_siblings_that_are_used) {
  const std::string words = text(synthetic("core:2 pu:2"), "all");
  EXPECT_TRUE(has(words, "processor 1: loop 2, SMT sibling of processor 0")) << words;
}

TEST_F(explanation, of_one_numa_node) {
  const std::string words = text(synthetic("pack:2 numa:1 core:2 pu:1"), "node:1");
  EXPECT_TRUE(has(words, "processors 0-1 not used: on NUMA node 0")) << words;
  EXPECT_TRUE(has(words, "processor 2: loop 0, first thread of core 2")) << words;
  EXPECT_EQ(text(synthetic("pack:2 numa:1 core:2 pu:1"), "node:01"),
            "cores = \"node:01\"" + words.substr(words.find(':', words.find(':') + 1)));
}

TEST_F(explanation, of_efficiency_cores) {
  const topology machine = hybrid();
  EXPECT_TRUE(has(text(machine, "performance"),
                  "processors 8-11 not used: an efficiency core, slower than processors 0-7"))
      << text(machine, "performance");
  EXPECT_TRUE(has(text(machine, "all"), "processor 8: loop 4, first thread of core 4, an efficiency core"))
      << text(machine, "all");
  EXPECT_TRUE(
      has(text(machine, 4),
          "processors 8-11 not used: an efficiency core, slower than processors 0-7; 4 loops were asked for"))
      << text(machine, 4);
  EXPECT_TRUE(has(text(hybrid({.affinity = numbers{8, 9}}), 1),
                  "processor 9 not used: an efficiency core; 1 loop was asked for"));
}

// The machine as a file may say itself what is forbidden, and what is switched off.
TEST_F(explanation, of_what_hwloc_says_is_forbidden_or_switched_off) {
  std::ifstream in(hybrid_machine());
  std::string machine(std::istreambuf_iterator<char>(in), {});
  const auto replace_first = [&](const std::string& what, const std::string& by) {
    const std::size_t at = machine.find(what);
    ASSERT_NE(at, std::string::npos) << what;
    machine.replace(at, what.size(), by);
  };
  replace_first("allowed_cpuset=\"0x00000fff\"", "allowed_cpuset=\"0x0000030f\"");
  replace_first("complete_cpuset=\"0x00000fff\"", "complete_cpuset=\"0x00003fff\"");
  const auto path =
      std::filesystem::temp_directory_path() / ("axle-machine-" + std::to_string(getpid()) + ".xml");
  std::ofstream(path) << machine;
  setenv("HWLOC_XMLFILE", path.c_str(), 1);
  const std::string words = text(topology::detect(), "all");
  std::filesystem::remove(path);
  EXPECT_TRUE(has(words, "processors 4-7 not used: not in the cpuset of this process's cgroup")) << words;
  EXPECT_TRUE(has(words, "processor 9: loop 3, first thread of core 5, an efficiency core")) << words;
  EXPECT_TRUE(has(words, "processors 12-13 not used: offline")) << words;
}

TEST_F(explanation, of_the_default) {
  EXPECT_EQ(text(synthetic("core:2 pu:1"), {}),
            "one loop, not pinned, on any of 2 processors\n"
            "processors 0-1: the one loop is not pinned: it may run here\n");
}

TEST_F(explanation, refuses_what_place_refuses) {
  const topology machine = synthetic("core:2 pu:1");
  EXPECT_THROW(static_cast<void>(machine.explain("7")), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(machine.explain("phisical")), std::invalid_argument);
}

TEST_F(explanation, of_the_machine_we_run_on) {
  const topology machine = topology::detect();
  const std::string words = text(machine, "all");
  EXPECT_EQ(words.find("oversubscribed"), std::string::npos) << words;
  EXPECT_EQ(words.find("not pinned"), std::string::npos) << words;
}

// Every processor has its line, loops stand where place() puts them, and only those without loops have another reason.
TEST_F(explanation, agrees_with_the_placement_everywhere) {
  const process_limits free, small{.affinity = numbers{0, 1, 2, 3, 5, 7}, .quota = 3.2},
      narrow{.cpuset = numbers{2, 3}};
  for (const char* description :
       {"core:1 pu:1", "core:4 pu:2", "pack:2 numa:2 core:2 pu:2", "pack:2 numa:1 core:64 pu:2"})
    for (const process_limits* limits : {&free, &small, &narrow})
      for (const axle::core_choice& choice :
           {axle::core_choice(1), axle::core_choice(3), axle::core_choice(300), axle::core_choice("all"),
            axle::core_choice("physical"), axle::core_choice("performance"), axle::core_choice("node:0"),
            axle::core_choice("2-3")}) {
        if (std::string(description) == "core:1 pu:1" && (limits == &narrow || choice.text() == "2-3"))
          continue;
        const topology machine = synthetic(description, *limits);
        SCOPED_TRACE(std::string(description) + " " + std::string(choice.text()) +
                     std::to_string(choice.count()));
        const auto places = machine.place(choice);
        const placement_explanation all = machine.explain(choice);
        const topology unlimited = synthetic(description);
        ASSERT_EQ(all.processors.size(), unlimited.processors().size());
        std::size_t loops = 0;
        for (std::size_t i = 0; i < all.processors.size(); ++i) {
          const axle::processor_use& use = all.processors[i];
          EXPECT_EQ(use.os_index, unlimited.processors()[i].os_index);
          EXPECT_EQ(use.reason == placement_reason::chosen, !use.loops.empty()) << use.os_index;
          EXPECT_FALSE(use.words.empty()) << use.os_index;
          for (const unsigned loop : use.loops) EXPECT_EQ(places.at(loop).os_index, use.os_index);
          loops += use.loops.size();
        }
        EXPECT_EQ(loops, places.size());
      }
}

}  // namespace
