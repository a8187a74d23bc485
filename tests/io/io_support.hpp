// What the tests of sockets share: one program run on each driver, with every frame and descriptor counted; connected
// pairs; numbered bytes.
//
// The real drivers are left to AXLE_DRIVER where that is set, so that a second run of the suite covers the other one.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <axle/axle.hpp>

#include "tests/support.hpp"

namespace axle::test {

using io::address;
using io::socket_option;
using io::tcp_listener;
using io::tcp_stream;

/// Fails the test if descriptors were left open at its end.
class descriptors_return {
 public:
  explicit descriptors_return(const char* of = "the test") : before_(open_descriptors()), of_(of) {}
  descriptors_return(const descriptors_return&) = delete;
  descriptors_return& operator=(const descriptors_return&) = delete;
  ~descriptors_return() { EXPECT_EQ(open_descriptors(), before_) << "descriptors were left open by " << of_; }

 private:
  std::size_t before_;
  const char* of_;
};

inline run_options options_for(std::string_view driver, std::uint64_t seed = 0) {
  run_options options;
  options.driver = driver;
  options.seed = seed;
  options.handle_signals = false;
  return options;
}

/// Runs f() on one loop over the named driver; nothing may be left over.
template <class F>
auto run_on(const run_options& options, F f) {
  const descriptors_return descriptors;
  const frames_return frames;
  return run(options, std::move(f));
}

/// A test that is run on every driver of this machine.
class each_driver : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const char* only = std::getenv("AXLE_DRIVER");
    if (!simulated() && only && std::string_view(only) != GetParam()) GTEST_SKIP() << "AXLE_DRIVER=" << only;
    try {
      run(options_for(GetParam()), nothing());
    } catch (const std::system_error& refused) {
      GTEST_SKIP() << refused.what();
    }
  }

  bool simulated() const { return GetParam() == std::string_view("sim"); }

  template <class F>
  auto on_this(F f) {
    return run_on(options_for(GetParam()), std::move(f));
  }
};

#define AXLE_ON_EACH_DRIVER(suite)                           \
  INSTANTIATE_TEST_SUITE_P(                                  \
      on, suite, ::testing::Values("uring", "epoll", "sim"), \
      [](const ::testing::TestParamInfo<const char*>& parameter) { return std::string(parameter.param); })

/// Time for whatever was begun to arrive where it waits. Tests hold however long it takes; if it is too short they only
/// hunt less.
inline task<> settle(std::chrono::nanoseconds time = 3ms) {
  co_await sleep(time);  // wall clock: the kernel's network has no event for "it waits now"
}

inline const address loopback("127.0.0.1", 0);

/// Both ends of one connection.
struct ends {
  tcp_stream near;  // that connected
  tcp_stream far;   // that was accepted
};

inline task<ends> connect_pair(address host = loopback, io::listen_options options = {}) {
  tcp_listener listener = tcp_listener::bind(host, options).value();
  join_handle<result<tcp_stream>> connecting = spawn(tcp_stream::connect(listener.local_address().value()));
  auto accepted = co_await listener.accept();
  auto connected = co_await connecting;
  ends both;
  both.near = std::move(connected).value();
  both.far = std::move(accepted).value();
  co_return both;
}

// More than any socket buffer takes.
inline constexpr std::size_t too_much = 32 * 1024 * 1024;

// Both ends: a write blocks soon. Reading from such a pair is slow, for the kernel delays each acknowledgement.
inline void shrink_buffers(tcp_stream& from, tcp_stream& to) {
  EXPECT_TRUE(from.set_option(socket_option::send_buffer_bytes, 4096));
  EXPECT_TRUE(to.set_option(socket_option::receive_buffer_bytes, 4096));
}

inline std::span<std::byte> bytes_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }

/// Bytes that tell their place.
inline std::string numbered_bytes(std::size_t count, std::size_t from = 0) {
  std::string made(count, '\0');
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t mixed = (from + i) * 0x9e3779b97f4a7c15;
    made[i] = static_cast<char>(mixed >> 56);
  }
  return made;
}

/// The first place at which two texts differ; npos if they do not. What EXPECT_EQ would print is a megabyte.
inline std::size_t first_difference(std::string_view a, std::string_view b) {
  const auto at = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first;
  return at == a.end() && a.size() == b.size() ? std::string_view::npos
                                               : static_cast<std::size_t>(at - a.begin());
}
#define EXPECT_SAME_BYTES(a, b) EXPECT_EQ(first_difference(a, b), std::string_view::npos)

/// Reads until `most` bytes have come, the end, or an error; the error goes to `ended`, if wanted.
inline task<std::string> read_up_to(tcp_stream& from, std::size_t most, std::error_code* ended = nullptr) {
  std::string got;
  while (got.size() < most) {
    auto part = co_await from.recv();
    if (!part && ended) *ended = part.error();
    if (!part || part->empty()) break;
    got += part->text();
  }
  co_return got;
}
inline task<std::string> read_to_end(tcp_stream& from, std::error_code* ended = nullptr) {
  return read_up_to(from, std::string::npos, ended);
}

inline task<std::error_code> write_whole(tcp_stream& to, std::string_view data) {
  const auto written = co_await to.write_all(data);
  co_return written.error();
}

/// Sends back what it gets, until the peer ends.
inline task<> echo(tcp_stream peer) {
  for (;;) {
    auto data = co_await peer.recv();
    if (!data || data->empty()) break;
    const auto written = co_await peer.write_all(*data);
    if (!written) break;
  }
}

}  // namespace axle::test
