// token_bucket's reckoning, and who is served when. Owning core only.
//
// A rate of p/q tokens a second makes a token 1e9 * q / p nanoseconds: 1e9 * q parts, where a nanosecond is p parts. With
// p < 2^50, q <= 1e18 and times below 2^63 ns everything fits in 128 bits.
#include <axle/sync/token_bucket.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <axle/clock.hpp>

namespace axle {

namespace {

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t largest_scale = 1'000'000'000'000'000'000;
constexpr long double fifteen_digits = 1e14L;
constexpr long double longest_fill_ns = 0x1p62L;

}  // namespace

const detail::wait_kind token_bucket::acquire_await::kind_of = {
    .complete = nullptr,
    .cancel =
        [](detail::wait_node& node) noexcept {
          auto& mine = static_cast<acquire_await&>(static_cast<detail::list_waiter&>(node));
          const bool was_first = mine.of_.waiters_.front() == &mine;
          mine.of_.waiters_.give_up(mine);
          if (was_first) mine.of_.serve(detail::this_loop->drives->now());
        },
    .what = "token_bucket",
};

token_bucket::token_bucket(token_rate rate) noexcept : object_timer(on_due, "a token_bucket"), rate_(rate) {
  pace(rate);
}

void token_bucket::pace(token_rate rate) noexcept {
  AXLE_CHECK(rate.per_second >= 1e-9 && rate.per_second <= 1e9,
             "a token_bucket of %g tokens a second: from 1e-9 to 1e9 are possible", rate.per_second);
  AXLE_CHECK(rate.burst > 0, "a token_bucket with a burst of 0 would never give a token");
  const auto per_second = static_cast<long double>(rate.per_second);
  AXLE_CHECK(static_cast<long double>(rate.burst) / per_second * second_ns < longest_fill_ns,
             "a token_bucket with a burst of %zu at %g tokens a second would not fill in 146 years",
             rate.burst, rate.per_second);
  std::int64_t scale = 1;
  while (scale < largest_scale && per_second * static_cast<long double>(scale) < fifteen_digits) scale *= 10;
  const std::int64_t scaled = std::llround(per_second * static_cast<long double>(scale));
  const std::int64_t common = std::gcd(scaled, scale);
  rate_ = rate;
  nanosecond_ = scaled / common;
  scale_ = scale / common;
  token_ = parts{scale_} * second_ns;
  fill_ = token_ * static_cast<parts>(rate.burst);
}

void token_bucket::check(std::size_t tokens) const noexcept {
  AXLE_CHECK(tokens <= rate_.burst,
             "%zu tokens were asked for of a token_bucket that never has more than %zu", tokens, rate_.burst);
}

// Never further away than from empty: the clock of a later run over the simulator may be behind.
token_bucket::parts token_bucket::full_at(std::int64_t now_ns) const noexcept {
  return std::min(full_at_, parts{now_ns} * nanosecond_ + fill_);
}

// More than the burst only after set_rate: as if they could gather while somebody waits for them.
std::int64_t token_bucket::due_ns(std::size_t tokens, std::int64_t now_ns) const noexcept {
  if (tokens > rate_.burst &&
      static_cast<long double>(tokens - rate_.burst) * static_cast<long double>(token_) >
          longest_fill_ns * static_cast<long double>(nanosecond_))
    return timer_wheel::never;
  const parts due = full_at(now_ns) - fill_ + static_cast<parts>(tokens) * token_;
  if (due <= 0) return 0;
  return static_cast<std::int64_t>(
      std::min((due + nanosecond_ - 1) / nanosecond_, parts{timer_wheel::never}));
}

bool token_bucket::can_give(std::size_t tokens, int priority, std::int64_t now_ns) const noexcept {
  if (tokens == 0) return true;
  if (!waiters_.empty() && static_cast<const acquire_await*>(waiters_.front())->priority_ >= priority)
    return false;
  return due_ns(tokens, now_ns) <= now_ns;
}

// A bucket that became full within this nanosecond has lost nothing: who waited for that could not be served sooner.
void token_bucket::take(std::size_t tokens, std::int64_t now_ns) noexcept {
  const parts now = parts{now_ns} * nanosecond_;
  parts from = full_at(now_ns);
  if (from <= now - nanosecond_) from = now;
  full_at_ = std::min(from + static_cast<parts>(tokens) * token_, now + fill_);
  given_ += tokens;
}

// To one that waits for nobody; who waits behind it waits longer.
void token_bucket::give(std::size_t tokens, std::int64_t now_ns) noexcept {
  if (tokens == 0) return;
  take(tokens, now_ns);
  if (!waiters_.empty()) serve(now_ns);
}

void token_bucket::enlist(acquire_await& asking, std::int64_t now_ns) noexcept {
  detail::list_waiter* place = nullptr;
  for (detail::list_waiter* each = waiters_.back();
       each && static_cast<acquire_await*>(each)->priority_ < asking.priority_; each = each->prev)
    place = each;
  waiters_.insert_before(place, asking);
  if (waiters_.front() == &asking) serve(now_ns);
}

void token_bucket::serve(std::int64_t now_ns) noexcept {
  while (!waiters_.empty()) {
    const std::size_t tokens = static_cast<const acquire_await*>(waiters_.front())->count_;
    const std::int64_t due = due_ns(tokens, now_ns);
    if (due > now_ns) return start(due);
    take(tokens, now_ns);
    waiters_.wake_front();
  }
  stop();
}

void token_bucket::on_due(detail::object_timer& timer) noexcept {
  static_cast<token_bucket&>(timer).serve(detail::this_loop->now_ns);
}

bool token_bucket::try_acquire(std::size_t tokens, int priority) noexcept {
  const std::int64_t now_ns = need_own_loop("a token_bucket").drives->now();
  check(tokens);
  if (!can_give(tokens, priority, now_ns)) return false;
  give(tokens, now_ns);
  return true;
}

std::size_t token_bucket::available() const noexcept {
  const std::int64_t now_ns = clock::now().time_since_epoch().count();
  const parts missing = std::max(full_at(now_ns) - parts{now_ns} * nanosecond_, parts{0});
  return static_cast<std::size_t>((fill_ - missing) / token_);
}

// What is missing is whole tokens and a part of one, which is a fraction with the old scale below; it is rounded up.
void token_bucket::set_rate(token_rate rate) noexcept {
  const std::int64_t now_ns = need_own_loop("a token_bucket").drives->now();
  const parts missing = std::max(full_at(now_ns) - parts{now_ns} * nanosecond_, parts{0});
  const auto burst_before = static_cast<parts>(rate_.burst);
  const std::int64_t scale_before = scale_;
  const parts whole = missing / token_;
  const parts rest = missing % token_;
  pace(rate);
  const std::int64_t common = std::gcd(scale_, scale_before);
  const std::int64_t down = scale_before / common;
  const parts rest_now = (rest * (scale_ / common) + down - 1) / down;
  const parts missing_now = (whole + static_cast<parts>(rate.burst) - burst_before) * token_ + rest_now;
  full_at_ = parts{now_ns} * nanosecond_ + std::clamp(missing_now, parts{0}, fill_);
  serve(now_ns);
}

}  // namespace axle
