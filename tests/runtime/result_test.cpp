// result<T>: a value or an error, with std::expected's ways.
#include "../support.hpp"

namespace axle::test {
namespace {

result<int> half(int n) {
  if (n % 2) return fail(errc::invalid_argument);
  return n / 2;
}
result<void> check(bool good) {
  if (!good) return fail_errno(-ECONNRESET);
  return {};
}

TEST(result, holds_a_value_or_an_error) {
  const result<int> good = half(8);
  EXPECT_TRUE(good);
  EXPECT_TRUE(good.has_value());
  EXPECT_EQ(*good, 4);
  EXPECT_EQ(good.value(), 4);
  EXPECT_EQ(good.error(), std::error_code());
  const result<int> bad = half(3);
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.error(), errc::invalid_argument);
}

TEST(result, value_throws_the_error_that_it_holds) {
  try {
    static_cast<void>(half(3).value());
    FAIL() << "no exception";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), errc::invalid_argument);
  }
  try {
    check(false).value();
    FAIL() << "no exception";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), errc::connection_reset);
  }
  EXPECT_NO_THROW(check(true).value());
}

TEST(result, an_errno_value_may_have_either_sign) {
  EXPECT_EQ(fail_errno(ECONNRESET).error(), fail_errno(-ECONNRESET).error());
  EXPECT_EQ(fail_errno(EPIPE).error(), errc::broken_pipe);
}

void look_at_no_value() { static_cast<void>(*half(3)); }
void look_into_no_value() { static_cast<void>(result<std::string>(fail(errc::timed_out))->size()); }
void look_at_no_void() { *check(false); }
TEST(result, looking_at_a_value_that_is_not_there_is_a_check) {
  EXPECT_DEATH(look_at_no_value(), "result holds no value but the error 22");
  EXPECT_DEATH(look_into_no_value(), "result holds no value but the error 110");
  EXPECT_DEATH(look_at_no_void(), "result holds the error 104");
}

TEST(result, chains_go_on_with_values_and_stop_at_errors) {
  EXPECT_EQ(half(8).and_then(half).and_then(half), result<int>(1));
  EXPECT_EQ(half(6).and_then(half).error(), errc::invalid_argument);
  EXPECT_EQ(half(8).transform([](int n) { return std::to_string(n); }), result<std::string>("4"));
  EXPECT_EQ(half(7).transform([](int n) { return std::to_string(n); }).error(), errc::invalid_argument);
  EXPECT_EQ(half(7).or_else([](std::error_code) { return result<int>(9); }), result<int>(9));
  EXPECT_EQ(half(7).value_or(5), 5);
  EXPECT_EQ(half(8).value_or(5), 4);
  EXPECT_EQ(check(true).and_then([] { return half(2); }), result<int>(1));
  EXPECT_EQ(check(false).and_then([] { return half(2); }).error(), errc::connection_reset);
}

TEST(result, moves_what_can_only_be_moved) {
  auto made = []() -> result<std::unique_ptr<int>> { return std::make_unique<int>(3); };
  const std::unique_ptr<int> owned = made().value();
  EXPECT_EQ(*owned, 3);
  result<std::unique_ptr<int>> kept = made();
  const std::unique_ptr<int> taken = std::move(*kept);
  EXPECT_EQ(*taken, 3);
  EXPECT_EQ(*made().value_or(nullptr), 3);
}

TEST(result, tells_a_value_from_an_error_code_as_value) {
  const result<std::error_code> value(std::in_place, std::make_error_code(errc::timed_out));
  EXPECT_TRUE(value.has_value());
  EXPECT_EQ(value.error(), std::error_code());
  const result<std::error_code> error = fail(errc::timed_out);
  EXPECT_FALSE(error.has_value());
}

TEST(result, success_that_carries_an_empty_code_is_not_an_error) {
  const result<void> odd(unexpect, std::error_code());
  EXPECT_FALSE(odd.has_value());
  EXPECT_NE(odd, result<void>());
}

}  // namespace
}  // namespace axle::test
