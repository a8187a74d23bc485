// topology: placements on synthetic machines, refusals that name what is wrong, quotas of both cgroup versions.
#include <axle/topology.hpp>

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <stdexcept>
#include <string>

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
