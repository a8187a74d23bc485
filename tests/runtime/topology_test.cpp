// topology: placements on synthetic machines, refusals that name what is wrong, quotas of both cgroup versions.
#include <axle/topology.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using axle::placement;
using axle::topology;

class on_machine : public testing::Test {
 protected:
  static topology synthetic(const char* description) {
    setenv("HWLOC_SYNTHETIC", description, 1);
    return topology::detect();
  }
  void TearDown() override { unsetenv("HWLOC_SYNTHETIC"); }

  static std::vector<unsigned> indexes(const std::vector<placement>& places) {
    std::vector<unsigned> numbers;
    for (const placement& each : places) numbers.push_back(each.os_index);
    return numbers;
  }

  static std::string refusal(const topology& machine, const axle::core_choice& choice) {
    try {
      static_cast<void>(machine.place(choice));
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  }
};

TEST_F(on_machine, two_sockets_of_64_cores_with_two_threads_each) {
  const topology machine = synthetic("pack:2 numa:1 core:64 pu:2");
  EXPECT_FALSE(machine.is_this_system());
  ASSERT_EQ(machine.processors().size(), 256U);
  EXPECT_EQ(machine.place("all").size(), 256U);
  const auto physical = machine.place("physical");
  ASSERT_EQ(physical.size(), 128U);
  std::set<unsigned> nodes;
  for (const placement& each : physical) {
    EXPECT_FALSE(each.pinned) << "threads are not pinned to a machine that is not there";
    nodes.insert(each.numa_node);
  }
  EXPECT_EQ(nodes.size(), 2U);
}

TEST_F(on_machine, a_number_of_loops_takes_distinct_cores_before_siblings) {
  const topology machine = synthetic("core:4 pu:2");
  const auto four = machine.place(4);
  std::set<unsigned> cores;
  for (const placement& each : four)
    for (const axle::processor& p : machine.processors())
      if (p.os_index == each.os_index) cores.insert(p.core);
  EXPECT_EQ(cores.size(), 4U);
}

TEST_F(on_machine, more_loops_than_processors_take_turns) {
  const topology machine = synthetic("core:2 pu:1");
  const auto places = machine.place(5);
  ASSERT_EQ(places.size(), 5U);
  EXPECT_EQ(places[0].os_index, places[2].os_index);
  EXPECT_EQ(places[1].os_index, places[3].os_index);
}

TEST_F(on_machine, lists_name_processors) {
  const topology machine = synthetic("core:16 pu:1");
  const auto places = machine.place("0-3,8");
  ASSERT_EQ(places.size(), 5U);
  EXPECT_EQ(places[4].os_index, 8U);
}

TEST_F(on_machine, a_bad_choice_is_refused_by_name) {
  const topology machine = synthetic("core:4 pu:1");
  EXPECT_NE(refusal(machine, "0-3,8").find("processor 8 does not exist"), std::string::npos);
  EXPECT_NE(refusal(machine, "0-3,8").find("may use 0-3"), std::string::npos);
  EXPECT_NE(refusal(machine, "3-1").find("backwards"), std::string::npos);
  EXPECT_NE(refusal(machine, "one").find("\"one\""), std::string::npos);
  EXPECT_NE(refusal(machine, "1,,2").find("is no processor number"), std::string::npos);
  EXPECT_NE(refusal(machine, "1,1").find("twice"), std::string::npos);
  EXPECT_NE(refusal(machine, "0-999999999").find("absurd"), std::string::npos);
  EXPECT_NE(refusal(machine, 0).find("at least one"), std::string::npos);
  EXPECT_NE(refusal(machine, -3).find("at least one"), std::string::npos);
}

TEST_F(on_machine, one_numa_node) {
  const topology machine = synthetic("pack:2 numa:2 core:2 pu:2");
  const auto places = machine.place("node:3");
  ASSERT_EQ(places.size(), 4U);
  for (const placement& each : places) EXPECT_EQ(each.numa_node, 3U);
  EXPECT_EQ(places[0].os_index, 12U);
  EXPECT_EQ(places[1].os_index, 14U) << "cores before siblings";
  EXPECT_NE(refusal(machine, "node:4").find("there are nodes 0-3"), std::string::npos);
  EXPECT_NE(refusal(machine, "node:").find("\"\" is no node number"), std::string::npos);
  EXPECT_NE(refusal(machine, "node:x").find("\"x\" is no node number"), std::string::npos);
}

TEST_F(on_machine, no_choice_goes_beyond_the_affinity_mask_and_the_cpuset) {
  setenv("HWLOC_SYNTHETIC", "core:4 pu:2", 1);
  const topology machine = topology::detect(
      {.affinity = std::vector<unsigned>{1, 3, 4, 5, 6}, .cpuset = std::vector<unsigned>{0, 1, 3, 4, 5}});
  EXPECT_EQ(indexes(machine.place("all")), (std::vector<unsigned>{1, 3, 4, 5}));
  EXPECT_EQ(indexes(machine.place("physical")), (std::vector<unsigned>{1, 3, 4}))
      << "of cores 0 and 1 only the second threads may be used: they are the first ones for us";
  EXPECT_EQ(indexes(machine.place(4)), (std::vector<unsigned>{1, 3, 4, 5}));
  EXPECT_NE(refusal(machine, "0").find("may use 1,3-5"), std::string::npos);
}

TEST_F(on_machine, with_no_processor_left_is_an_error) {
  setenv("HWLOC_SYNTHETIC", "core:4 pu:1", 1);
  EXPECT_THROW(static_cast<void>(topology::detect({.affinity = std::vector<unsigned>{7}})),
               std::runtime_error);
}

TEST_F(on_machine, the_quota_is_rounded_up_for_choices_by_name_only) {
  setenv("HWLOC_SYNTHETIC", "core:4 pu:2", 1);
  const topology machine = topology::detect({.quota = 2.5});
  EXPECT_EQ(indexes(machine.place("all")), (std::vector<unsigned>{0, 2, 4}));
  EXPECT_EQ(machine.place("physical").size(), 3U);
  EXPECT_EQ(machine.place("performance").size(), 3U);
  EXPECT_EQ(machine.place("node:0").size(), 3U);
  EXPECT_EQ(machine.place(4).size(), 4U);
  EXPECT_EQ(machine.place("0-4").size(), 5U);
  EXPECT_EQ(topology::detect({.quota = 0.2}).place("all").size(), 1U);
}

// Four fast cores of two threads (0 to 7), four slow ones of one (8 to 11).
class on_hybrid_machine : public on_machine {
 protected:
  static topology hybrid(const axle::process_limits& limits = {}) {
    const auto beside = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "hybrid_machine.xml";
    setenv("HWLOC_XMLFILE", beside.c_str(), 1);
    return topology::detect(limits);
  }
  void TearDown() override { unsetenv("HWLOC_XMLFILE"); }
};

TEST_F(on_hybrid_machine, kinds_of_core_are_told_apart) {
  const topology machine = hybrid();
  ASSERT_EQ(machine.processors().size(), 12U);
  for (const axle::processor& p : machine.processors()) {
    EXPECT_EQ(p.efficiency, p.os_index >= 8) << p.os_index;
    EXPECT_EQ(p.speed, p.os_index >= 8 ? 0U : 1U) << p.os_index;
  }
}

TEST_F(on_hybrid_machine, fast_cores_come_first_and_siblings_last) {
  const topology machine = hybrid();
  EXPECT_EQ(indexes(machine.place("all")), (std::vector<unsigned>{0, 2, 4, 6, 8, 9, 10, 11, 1, 3, 5, 7}));
  EXPECT_EQ(indexes(machine.place(5)), (std::vector<unsigned>{0, 2, 4, 6, 8}));
  EXPECT_EQ(indexes(hybrid({.quota = 3}).place("all")), (std::vector<unsigned>{0, 2, 4}));
}

TEST_F(on_hybrid_machine, performance_leaves_the_slow_cores_out) {
  EXPECT_EQ(indexes(hybrid().place("performance")), (std::vector<unsigned>{0, 2, 4, 6, 1, 3, 5, 7}));
  const topology slow = hybrid({.affinity = std::vector<unsigned>{9, 10}});
  EXPECT_NE(refusal(slow, "performance").find("may use 9-10, which are efficiency cores"), std::string::npos);
}

TEST_F(on_machine, where_all_cores_are_alike_all_are_performance_cores) {
  EXPECT_EQ(synthetic("core:4 pu:2").place("performance").size(), 8U);
}

TEST_F(on_machine, the_default_is_one_loop_that_is_not_pinned) {
  const auto places = topology::detect().place({});
  ASSERT_EQ(places.size(), 1U);
  EXPECT_FALSE(places[0].pinned);
}

class quota : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "axle-quota-XXXXXX").string();
    root_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void put(const std::string& path, const std::string& text) const {
    const std::filesystem::path full = root_ + path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text << '\n';
  }
  std::string root_;
};

TEST_F(quota, version_2_counts_the_least_on_the_way_up) {
  put("/sys/fs/cgroup/a/b/cpu.max", "max 100000");
  put("/sys/fs/cgroup/a/cpu.max", "150000 100000");
  put("/sys/fs/cgroup/cpu.max", "max 100000");
  EXPECT_DOUBLE_EQ(topology::read_quota(root_, "0::/a/b\n"), 1.5);
}

TEST_F(quota, version_1_is_read_from_the_cpu_controller) {
  put("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "200000");
  put("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us", "50000");
  put("/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us", "-1");
  put("/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us", "100000");
  EXPECT_DOUBLE_EQ(topology::read_quota(root_, "12:memory:/m\n4:cpu,cpuacct:/docker/x\n"), 4.0);
}

TEST_F(quota, none_is_none) {
  EXPECT_EQ(topology::read_quota(root_, ""), 0);
  EXPECT_EQ(topology::read_quota(root_, "0::/\n"), 0);
  EXPECT_EQ(topology::read_quota(root_, "nonsense"), 0);
}

}  // namespace
