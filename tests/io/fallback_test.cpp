// io_uring refused: the program runs on epoll, says so in one line that names the cure, and fails to start only where
// io_uring was asked for by name.
//
// Each case is a child process that loses io_uring as a container or a system would take it: by a seccomp filter, or by
// having no locked memory.
#include "tests/io/io_support.hpp"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <array>
#include <stdexcept>

namespace axle::test {
namespace {

constexpr int skipped = 77;

// From here on io_uring_setup fails with `error`, in this process and for good.
bool forbid_io_uring(int error) {
  std::array<sock_filter, 4> program = {
      sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_io_uring_setup},
      sock_filter{BPF_RET | BPF_K, 0, 0,
                  SECCOMP_RET_ERRNO | (static_cast<unsigned>(error) & SECCOMP_RET_DATA)},
      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  const sock_fprog filter = {program.size(), program.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

bool lose_locked_memory() {
  const rlimit none = {0, 0};
  return setrlimit(RLIMIT_MEMLOCK, &none) == 0 && setgid(65'534) == 0 && setuid(65'534) == 0;
}

struct refusal {
  const char* name;
  bool (*begin)();
  const char* cure;
  bool needs_root;
};

constexpr refusal refusals[] = {
    {"by_seccomp", [] { return forbid_io_uring(EPERM); }, "sysctl", false},
    {"by_an_old_kernel", [] { return forbid_io_uring(ENOSYS); }, "kernel", false},
    {"for_lack_of_locked_memory", lose_locked_memory, "ulimit -l", true},
};

void PrintTo(const refusal& of, std::ostream* out) { *out << of.name; }

task<std::string> echo_once() {
  ends pair = co_await connect_pair();
  join_handle<> server = spawn(echo(std::move(pair.far)));
  EXPECT_FALSE(co_await write_whole(pair.near, "hello"));
  const std::string got = co_await read_up_to(pair.near, 5);
  pair.near.close();
  co_await server;
  co_return got;
}

std::size_t lines_with(std::string_view text, std::string_view what) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    count += text.substr(at, end - at).find(what) != std::string_view::npos;
    at = end + 1;
  }
  return count;
}

class refused : public ::testing::TestWithParam<refusal> {
 protected:
  void SetUp() override {
    if (GetParam().needs_root && geteuid() != 0) GTEST_SKIP() << "only root can become nobody";
  }

  // body() in a child without io_uring; what it said goes to `said`.
  template <class F>
  int without_io_uring(F body, std::string& said) {
    return in_child(
        [body] {
          unsetenv("AXLE_DRIVER");
          return GetParam().begin() ? body() : skipped;
        },
        30, &said);
  }
};

INSTANTIATE_TEST_SUITE_P(io_uring, refused, ::testing::ValuesIn(refusals),
                         [](const ::testing::TestParamInfo<refusal>& parameter) {
                           return std::string(parameter.param.name);
                         });

TEST_P(refused, epoll_serves_and_one_line_says_why) {
  std::string said;
  const int status = without_io_uring(
      [] {
        for (int i = 0; i < 3; ++i)
          if (run(echo_once()) != "hello") return 1;
        return HasFailure() ? 2 : 0;
      },
      said);
  if (status == skipped) GTEST_SKIP() << "it could not be taken away here";
  EXPECT_EQ(status, 0) << said;
  EXPECT_EQ(lines_with(said, ""), 1U) << said;
  EXPECT_EQ(lines_with(said, "epoll"), 1U) << said;
  EXPECT_EQ(lines_with(said, GetParam().cure), 1U) << said;
  EXPECT_EQ(lines_with(said, "io_uring"), 1U) << said;
}

TEST_P(refused, every_core_falls_back_and_still_one_line_says_so) {
  std::string said;
  const int status = without_io_uring(
      [] {
        run_options options;
        options.cores = "all";
        return run(options, echo_once()) == "hello" ? 0 : 1;
      },
      said);
  if (status == skipped) GTEST_SKIP() << "it could not be taken away here";
  EXPECT_EQ(status, 0) << said;
  EXPECT_EQ(lines_with(said, "epoll"), 1U) << said;
}

// 0 if run() with these options throws std::system_error that names io_uring and the cure.
int is_refused(const run_options& options, const char* cure) {
  try {
    run(options, nothing());
    std::fprintf(stderr, "it ran\n");
    return 1;
  } catch (const std::system_error& why) {
    const std::string_view text = why.what();
    const bool helps = text.find("io_uring") != text.npos && text.find(cure) != text.npos;
    if (!helps) std::fprintf(stderr, "%s\n", why.what());
    return helps ? 0 : 2;
  }
}

TEST_P(refused, io_uring_by_name_is_an_error_with_the_cure) {
  std::string said;
  const int by_option =
      without_io_uring([] { return is_refused({.driver = "uring"}, GetParam().cure); }, said);
  if (by_option == skipped) GTEST_SKIP() << "it could not be taken away here";
  EXPECT_EQ(by_option, 0) << said;
  const int by_environment = without_io_uring(
      [] {
        setenv("AXLE_DRIVER", "uring", 1);
        return is_refused({}, GetParam().cure);
      },
      said);
  EXPECT_EQ(by_environment, 0) << said;
  EXPECT_EQ(said, "") << "what is thrown is not printed as well";
}

TEST_P(refused, epoll_by_name_has_nothing_to_say) {
  std::string said;
  const int status = without_io_uring(
      [] {
        setenv("AXLE_DRIVER", "epoll", 1);
        return run(echo_once()) == "hello" ? 0 : 1;
      },
      said);
  if (status == skipped) GTEST_SKIP() << "it could not be taken away here";
  EXPECT_EQ(status, 0) << said;
  EXPECT_EQ(said, "");
}

// ---- names ------------------------------------------------------------------------------------------------------------

void expect_all_names(const run_options& options, const char* wrong_name) {
  try {
    run(options, nothing());
    ADD_FAILURE() << "it ran";
  } catch (const std::invalid_argument& why) {
    for (const char* name : {"\"uring\"", "\"epoll\"", "\"sim\"", "AXLE_DRIVER", wrong_name})
      EXPECT_NE(std::string_view(why.what()).find(name), std::string_view::npos)
          << name << " is not in: " << why.what();
  }
}

TEST(driver_name, that_is_unknown_lists_those_that_are_not) {
  expect_all_names({.driver = "kqueue"}, "kqueue");
  expect_all_names({.driver = "URING"}, "URING");
}

TEST(driver_name, of_the_environment_is_checked_too) {
  const int status = in_child([] {
    setenv("AXLE_DRIVER", "iouring", 1);
    expect_all_names({}, "iouring");
    return ::testing::Test::HasFailure() ? 1 : 0;
  });
  EXPECT_EQ(status, 0);
}

TEST(driver_name, given_as_an_option_goes_before_the_environment) {
  const int status = in_child([] {
    setenv("AXLE_DRIVER", "no such driver", 1);
    return run(options_for("sim"), echo_once()) == "hello" ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace axle::test
