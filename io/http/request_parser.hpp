// request_parser: bytes in, requests out. The one door to the HTTP parsing library; private to io/.
//
// The caller holds the bytes of the request being read in one piece, from its first byte, and calls parse() again
// whenever the piece has grown; it may have moved. The library sees each byte once, and nothing is copied but a body that
// comes in chunks. The library finds the parts; what it lets pass and another server might read differently (request
// smuggling) is refused here: see check_head() and chunk_framing. Owned by one connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <axle/io/http.hpp>

namespace axle::io::http {

/// Follows what stands between the pieces of a chunked body: sizes, line ends, trailers. The libraries, as packaged,
/// take almost anything there.
class chunk_framing {
 public:
  explicit chunk_framing(std::size_t extra_most) noexcept : extra_most_(extra_most) {}
  /// False: malformed, or too long.
  bool feed(std::string_view between) noexcept;
  bool in_data() const noexcept { return at_ == place::data_cr; }
  bool over() const noexcept { return at_ == place::over; }

 private:
  enum class place : std::uint8_t {
    size,
    extension,
    size_lf,  // "5;extension\r\n"
    data_cr,
    data_lf,  // the data, then "\r\n"
    line,
    name,
    value,
    line_lf,  // after the last chunk: "Name: value\r\n"
    last_lf,
    over,  // "\r\n"
    bad,
  };
  place step(char c) noexcept;

  std::size_t extra_most_;  // bytes of extensions and trailers in all
  std::size_t extra_ = 0;
  place at_ = place::size;
  bool nonzero_ = false;
  std::uint8_t digits_ = 0;
};

class request_parser {
 public:
  enum class outcome : std::uint8_t { partial, complete, refused };

  explicit request_parser(const options& limits) noexcept;
  request_parser(const request_parser&) = delete;  // the library points back at it
  request_parser& operator=(const request_parser&) = delete;

  /// Goes on with the request whose bytes begin at data's first.
  outcome parse(std::string_view data) noexcept;

  /// Complete: the request, valid while `data` stays; and how many of data's bytes it was.
  const request& current() const noexcept { return current_; }
  std::size_t consumed() const noexcept { return seen_; }
  /// Partial: how many of data's leading bytes must stay. What is behind them has been taken in.
  std::size_t kept() const noexcept { return chunked_ ? head_end_ : size_; }
  /// Refused: the status to answer with.
  unsigned status() const noexcept { return status_; }

  /// No byte of a request has been seen.
  bool idle() const noexcept { return seen_ <= start_; }
  bool in_body() const noexcept { return head_end_ != 0; }
  /// The client waits for a 100 before it sends the body. True once.
  bool take_expectation() noexcept { return in_body() && std::exchange(expects_, false); }

  /// Makes ready for the next request.
  void next() noexcept;

 private:
  struct events;  // what the library calls
  struct span {
    std::size_t at = 0, size = 0;
    std::size_t end() const noexcept { return at + size; }
  };
  struct field {
    span name, value;
  };

  std::string_view part(span where) const noexcept { return {base_ + where.at, where.size}; }
  bool refuse(unsigned status) noexcept;  // false
  bool skip_empty_line() noexcept;
  bool check_head(unsigned major, unsigned minor, std::uint64_t length) noexcept;
  std::size_t check_lines(unsigned minor) const noexcept;
  bool check_meaning(unsigned minor, std::uint64_t length) noexcept;
  bool check_unfinished_head() noexcept;
  bool check_framing(std::size_t until) noexcept;
  bool present() noexcept;

  const options& limits_;
  const char* base_ = nullptr;  // data, during parse()
  std::size_t size_ = 0;
  std::size_t seen_ = 0;      // bytes of data that the library has seen
  std::size_t start_ = 0;     // where the request line begins
  std::size_t head_end_ = 0;  // 0: not reached
  std::size_t framed_ = 0;    // of a chunked body: up to where its framing was checked
  span target_;
  span body_;
  unsigned status_ = 0;
  bool in_value_ = true;
  bool chunked_ = false;
  bool expects_ = false;
  bool complete_ = false;
  chunk_framing framing_;
  request current_;
  std::vector<field> fields_;
  std::vector<header_field> headers_;
  std::string chunks_;
  alignas(8) std::byte library_[112];
};

}  // namespace axle::io::http
