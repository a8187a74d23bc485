// task_local: what is handed down, what stays with the task, what is put back.
#include "../support.hpp"

namespace axle::test {
namespace {

task_local<std::string> label("none");
task_local<int> depth;

task<std::string> label_here() { co_return label.get(); }
task<> sets_label(std::string to) {
  label.set(std::move(to));
  co_return;
}
task<std::string> label_after(std::chrono::nanoseconds d) {
  co_await sleep(d);
  co_return label.get();
}

TEST(task_local, is_what_the_constructor_was_given_until_it_is_set) {
  EXPECT_EQ(label.get(), "none") << "outside a loop";
  on_sim([]() -> task<> {
    EXPECT_EQ(label.get(), "none");
    EXPECT_EQ(depth.get(), 0);
    label.set("a");
    EXPECT_EQ(label.get(), "a");
    label.set("b");
    EXPECT_EQ(label.get(), "b");
    EXPECT_EQ(depth.get(), 0);
    co_return;
  });
}

TEST(task_local, belongs_to_the_task_not_to_the_coroutine) {
  on_sim([]() -> task<> {
    co_await sets_label("by a child that was awaited");
    EXPECT_EQ(label.get(), "by a child that was awaited");
  });
}

TEST(task_local, is_handed_down_as_it_was_when_the_task_was_made) {
  on_sim([]() -> task<> {
    label.set("first");
    auto early = spawn(label_after(1ms));
    label.set("second");
    auto late = spawn(label_after(1ms), {.name = "named"});
    const std::string by_early = co_await early;
    const std::string by_late = co_await late;
    EXPECT_EQ(by_early, "first");
    EXPECT_EQ(by_late, "second");
  });
}

TEST(task_local, set_in_a_child_does_not_reach_its_parent) {
  on_sim([]() -> task<> {
    label.set("parent");
    auto child = spawn(sets_label("child"));
    co_await child;
    EXPECT_EQ(label.get(), "parent");
    co_await gather(sets_label("child"), sets_label("other"));
    EXPECT_EQ(label.get(), "parent");
  });
}

TEST(task_local, reaches_every_kind_of_child) {
  on_sim([]() -> task<> {
    label.set("down");
    const auto [one, two] = co_await gather(label_here(), label_after(1ms));
    EXPECT_EQ(one, "down");
    EXPECT_EQ(two, "down");
    const auto timed = co_await with_timeout(1s, label_after(1ms));
    EXPECT_EQ(timed.value(), "down");
    std::string in_group, in_body;
    const auto child = [&in_group]() -> task<> {
      in_group = label.get();
      co_return;
    };
    const auto body = [&](task_group& group) -> task<> {
      in_body = label.get();
      label.set("body");
      group.spawn(child);
      co_return;
    };
    co_await with_task_group(body);
    EXPECT_EQ(in_body, "down");
    EXPECT_EQ(in_group, "body") << "from the task that spawned it";
    EXPECT_EQ(label.get(), "down");
  });
}

TEST(task_local, of_a_child_of_a_child) {
  on_sim([]() -> task<> {
    label.set("top");
    const auto middle = []() -> task<> {
      depth.set(1);
      const auto [a, b] = co_await gather(label_here(), label_after(1ms));
      EXPECT_EQ(a, "top");
      EXPECT_EQ(b, "top");
    };
    co_await gather(middle(), middle());
    EXPECT_EQ(depth.get(), 0);
  });
}

TEST(task_local, is_put_back_at_the_end_of_a_scope_however_it_ends) {
  on_sim([]() -> task<> {
    {
      const auto inside = label.with("inside");
      EXPECT_EQ(label.get(), "inside");
      label.set("more");
    }
    EXPECT_EQ(label.get(), "none");
    label.set("outer");
    try {
      const auto inside = label.with("inside");
      throw wrong("out");
    } catch (const wrong&) {}
    co_await yield();
    EXPECT_EQ(label.get(), "outer");
  });
}

TEST(task_local, is_put_back_when_the_task_is_cancelled) {
  std::string seen;
  on_sim([&seen]() -> task<> {
    const auto body = [&seen]() -> task<> {
      struct looks {
        std::string& into;
        ~looks() { into = label.get(); }
      } const at_end{seen};
      const auto inside = label.with("inside");
      co_await sleep(1h);
    };
    auto running = spawn(body);
    co_await yield();
    running.cancel();
    static_cast<void>(co_await running.outcome());
  });
  EXPECT_EQ(seen, "none");
}

TEST(task_local, values_are_freed_with_the_last_task_that_has_them) {
  int alive = 0;
  on_sim([&alive]() -> task<> {
    static task_local<std::shared_ptr<counted>> held;
    const auto body = [&alive]() -> task<> {
      held.set(std::make_shared<counted>(alive));
      for (int i = 0; i < 100; ++i) held.set(std::make_shared<counted>(alive));
      EXPECT_EQ(alive, 1);
      auto child = spawn(sleeps(1s));
      child.detach();
      co_return;
    };
    auto running = spawn(body);
    co_await running;
    running.detach();
    EXPECT_EQ(alive, 1) << "the child still has it";
    co_await sleep(2s);
    EXPECT_EQ(alive, 0);
  });
}

TEST(task_local, stays_on_its_core) {
  const auto main = []() -> task<> {
    label.set("here");
    const std::string there = co_await on(1, label_here);
    EXPECT_EQ(there, "none");
    const auto sets_there = []() -> task<std::string> {
      label.set("there");
      co_return label.get();
    };
    const std::string set = co_await on(1, sets_there);
    EXPECT_EQ(set, "there");
    EXPECT_EQ(label.get(), "here");
  };
  run({.cores = 2, .driver = "epoll"}, main);
}

TEST(task_local_death, set_outside_a_task_is_a_check) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(label.set("x"), "task_local::set was used on a thread that runs no axle loop");
}

}  // namespace
}  // namespace axle::test
