// The request parser: what it finds, however the bytes are cut, and what it refuses.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "io/http/request_parser.hpp"

namespace {

using namespace axle::io::http;
using outcome = request_parser::outcome;

/// Feeds a parser the way a connection does: what is left of a piece is kept and grows at its end, elsewhere in memory.
class feeder {
 public:
  explicit feeder(options given = {}) : limits(given), parser(limits) {}

  /// Adds bytes; answers with the outcome of parsing what is there.
  outcome feed(std::string_view more) {
    std::string grown = kept_;
    grown.append(more);
    kept_.swap(grown);
    std::fill(grown.begin(), grown.end(), '?');  // who still looks there finds nonsense
    const outcome found = parser.parse(kept_);
    if (found == outcome::partial) kept_.resize(parser.kept());
    return found;
  }
  /// Goes on to the next request; answers with the outcome of what is there already.
  outcome next() {
    kept_.erase(0, parser.consumed());
    parser.next();
    return feed("");
  }
  const request& found() const { return parser.current(); }
  std::size_t left() const { return kept_.size(); }

  options limits;
  request_parser parser;

 private:
  std::string kept_;
};

unsigned status_of(std::string_view bytes, options limits = {}) {
  feeder whole(limits);
  const outcome at_once = whole.feed(bytes);
  feeder slow(limits);
  outcome by_byte = outcome::partial;
  for (std::size_t i = 0; i < bytes.size() && by_byte == outcome::partial; ++i)
    by_byte = slow.feed(bytes.substr(i, 1));
  EXPECT_EQ(at_once, by_byte) << "it matters how the bytes are cut: " << bytes;
  if (at_once != outcome::refused) return 0;
  EXPECT_EQ(whole.parser.status(), slow.parser.status()) << "it matters how the bytes are cut: " << bytes;
  return whole.parser.status();
}

/// A request that is fine but for the lines given.
unsigned status_with(std::string_view lines, std::string_view rest = {}) {
  return status_of("POST / HTTP/1.1\r\nHost: a\r\n" + std::string(lines) + "\r\n" + std::string(rest));
}

unsigned status_of_chunks(std::string_view chunks) {
  return status_with("Transfer-Encoding: chunked\r\n", chunks);
}

const std::string get =
    "GET /a/b?c=d HTTP/1.1\r\nHost: example.org\r\nX-Empty:\r\nAccept:  text/html ,*/*\t \r\n\r\n";
const std::string post = "POST /form HTTP/1.1\r\nHost: example.org\r\nContent-Length: 11\r\n\r\nhello world";
const std::string chunked =
    "PUT /big HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: Chunked\r\n\r\n"
    "5;name=value\r\nhello\r\n001\r\n \r\n5\r\nworld\r\n0\r\nChecksum: 12\r\n\r\n";

TEST(RequestParser, finds_the_parts_of_a_request) {
  feeder it;
  ASSERT_EQ(it.feed(get), outcome::complete);
  EXPECT_EQ(it.parser.consumed(), get.size());
  const request& found = it.found();
  EXPECT_EQ(found.method, "GET");
  EXPECT_EQ(found.target, "/a/b?c=d");
  EXPECT_EQ(found.path(), "/a/b");
  EXPECT_EQ(found.query(), "c=d");
  EXPECT_EQ(found.version_minor, 1u);
  EXPECT_TRUE(found.keep_alive);
  ASSERT_EQ(found.headers.size(), 3u);
  EXPECT_EQ(found.header("HOST"), "example.org");
  EXPECT_EQ(found.header("accept"), "text/html ,*/*");
  ASSERT_NE(found.find("x-empty"), nullptr);
  EXPECT_EQ(found.find("x-empty")->value, "");
  EXPECT_EQ(found.find("x-none"), nullptr);
  EXPECT_EQ(found.body, "");
}

TEST(RequestParser, a_request_may_be_cut_anywhere) {
  for (const std::string& whole : {get, post, chunked}) {
    for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
      feeder it;
      const outcome first = it.feed(std::string_view(whole).substr(0, cut));
      ASSERT_EQ(first, cut == whole.size() ? outcome::complete : outcome::partial) << whole.substr(0, cut);
      if (cut == 0) EXPECT_TRUE(it.parser.idle());
      if (cut && cut < whole.size()) EXPECT_FALSE(it.parser.idle());
      if (first == outcome::partial)
        ASSERT_EQ(it.feed(std::string_view(whole).substr(cut)), outcome::complete) << cut;
      EXPECT_EQ(it.found().header("host"), "example.org") << cut;
      if (&whole == &get) EXPECT_EQ(it.found().header("accept"), "text/html ,*/*") << cut;
      EXPECT_EQ(it.found().body, whole == post      ? "hello world"
                                 : whole == chunked ? "hello world"
                                                    : "")
          << cut;
      EXPECT_EQ(it.next(), outcome::partial);
      EXPECT_EQ(it.left(), 0u);
      EXPECT_TRUE(it.parser.idle());
    }
  }
}

TEST(RequestParser, a_request_may_be_cut_twice_anywhere) {
  const std::string whole =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  for (std::size_t one = 1; one < whole.size(); ++one) {
    for (std::size_t two = one + 1; two < whole.size(); ++two) {
      feeder it;
      ASSERT_EQ(it.feed(whole.substr(0, one)), outcome::partial);
      ASSERT_EQ(it.feed(whole.substr(one, two - one)), outcome::partial);
      ASSERT_EQ(it.feed(whole.substr(two)), outcome::complete);
      ASSERT_EQ(it.found().body, "abc");
    }
  }
}

TEST(RequestParser, pipelined_requests_come_one_by_one) {
  std::string all;
  for (int i = 0; i < 50; ++i) all += i % 3 == 0 ? get : i % 3 == 1 ? post : chunked;
  for (const std::size_t piece : {all.size(), std::size_t{1}, std::size_t{7}, std::size_t{1000}}) {
    feeder it;
    int seen = 0;
    for (std::size_t at = 0; at < all.size(); at += piece) {
      outcome found = it.feed(std::string_view(all).substr(at, piece));
      while (found == outcome::complete) {
        EXPECT_EQ(it.found().method, seen % 3 == 0 ? "GET" : seen % 3 == 1 ? "POST" : "PUT");
        EXPECT_EQ(it.found().body.size(), seen % 3 == 0 ? 0u : 11u);
        ++seen;
        found = it.next();
      }
      ASSERT_EQ(found, outcome::partial);
    }
    EXPECT_EQ(seen, 50) << "in pieces of " << piece;
    EXPECT_TRUE(it.parser.idle());
  }
}

TEST(RequestParser, a_chunked_body_is_not_kept_in_its_framing) {
  feeder it;
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  ASSERT_EQ(it.feed(head), outcome::partial);
  std::string body;
  for (int i = 0; i < 10'000; ++i) {
    body += static_cast<char>('a' + i % 26);
    ASSERT_EQ(it.feed(std::string("1\r\n") + body.back() + "\r\n"), outcome::partial);
    ASSERT_EQ(it.left(), head.size());
  }
  ASSERT_EQ(it.feed("0\r\n\r\n"), outcome::complete);
  EXPECT_EQ(it.found().body, body);
  EXPECT_EQ(it.found().header("host"), "a");
}

TEST(RequestParser, keep_alive_follows_version_and_connection_header) {
  const auto stays = [](std::string_view bytes) {
    feeder it;
    EXPECT_EQ(it.feed(bytes), outcome::complete) << bytes;
    return it.found().keep_alive;
  };
  EXPECT_TRUE(stays("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_FALSE(stays("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  EXPECT_FALSE(stays("GET / HTTP/1.1\r\nHost: a\r\nConnection: te, Close\r\n\r\n"));
  EXPECT_FALSE(stays("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(stays("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(RequestParser, one_empty_line_before_a_request_is_excused) {
  EXPECT_EQ(status_of("\r\n" + get), 0u);
  EXPECT_EQ(status_of("\r\n\r\n" + get), 400u);
  EXPECT_EQ(status_of("\n" + get), 400u);
  EXPECT_EQ(status_of("\r" + get), 400u);
  feeder it;
  EXPECT_EQ(it.feed("\r"), outcome::partial);
  EXPECT_TRUE(it.parser.idle());
  EXPECT_EQ(it.feed("\n"), outcome::partial);
  EXPECT_TRUE(it.parser.idle());
  EXPECT_EQ(it.feed(post), outcome::complete);
  EXPECT_EQ(it.found().method, "POST");
  EXPECT_EQ(it.found().body, "hello world");
}

TEST(RequestParser, an_upgrade_is_not_taken) {
  feeder it;
  const std::string asked =
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n";
  ASSERT_EQ(it.feed(asked + get), outcome::complete);
  EXPECT_EQ(it.parser.consumed(), asked.size());
  EXPECT_EQ(it.next(), outcome::complete);
  feeder tunnel;
  ASSERT_EQ(tunnel.feed("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n" + get), outcome::complete);
  EXPECT_EQ(tunnel.found().method, "CONNECT");
  EXPECT_EQ(tunnel.found().path(), "a:1");
  EXPECT_EQ(tunnel.next(), outcome::complete);
}

TEST(RequestParser, the_path_is_found_in_every_form_of_target) {
  const auto path = [](std::string_view target) {
    request asked;
    asked.target = target;
    return std::string(asked.path());
  };
  EXPECT_EQ(path("/"), "/");
  EXPECT_EQ(path("/a?b/c"), "/a");
  EXPECT_EQ(path("http://host:80/a/b?c"), "/a/b");
  EXPECT_EQ(path("http://host"), "/");
  EXPECT_EQ(path("http://host?x=/y"), "/");
  EXPECT_EQ(path("*"), "*");
}

TEST(RequestParser, an_expectation_is_told_once) {
  feeder it;
  ASSERT_EQ(it.feed("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n"),
            outcome::partial);
  EXPECT_FALSE(it.parser.take_expectation());
  ASSERT_EQ(it.feed("\r\n"), outcome::partial);
  EXPECT_TRUE(it.parser.in_body());
  EXPECT_TRUE(it.parser.take_expectation());
  EXPECT_FALSE(it.parser.take_expectation());
  ASSERT_EQ(it.feed("ab"), outcome::complete);
}

TEST(RequestParser, other_expectations_fail) {
  EXPECT_EQ(status_with("Expect: 200-maybe\r\n"), 417u);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\nExpect: 200-maybe\r\n\r\n"), 0u);
}

TEST(RequestParser, nonsense_is_refused) {
  EXPECT_EQ(status_of("\x16\x03\x01\x02"), 400u);  // a TLS client
  EXPECT_EQ(status_of("hello\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("get / HTTP/1.1\r\nHost: a\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("GET /\t HTTP/1.1\r\nHost: a\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("GET /\xc3\xbc HTTP/1.1\r\nHost: a\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("GET / HTTP/x.1\r\nHost: a\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("GET / SIP/2.0\r\nHost: a\r\n\r\n"), 400u);
}

TEST(RequestParser, other_versions_are_refused_as_such) {
  EXPECT_EQ(status_of("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505u);
  EXPECT_EQ(status_of("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), 505u);
  EXPECT_EQ(status_of("GET / HTTP/0.9\r\nHost: a\r\n\r\n"), 505u);
  EXPECT_EQ(status_of("GET / HTTP/3\r\nHost: a\r\n\r\n"), 505u);
  EXPECT_EQ(status_of("GET /\r\n\r\n"), 505u);
}

TEST(RequestParser, a_bare_line_feed_ends_no_line) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\nHost: a\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\n\r\n"), 400u);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\n\n"), 400u);
  EXPECT_EQ(status_of("GET / HTTP/1.1\nHost: a\n\n"), 400u);
  EXPECT_EQ(status_with("X: a\nContent-Length: 5\r\n"), 400u);
  EXPECT_EQ(status_with("X: a\rContent-Length: 5\r\n"), 400u);
}

TEST(RequestParser, folded_lines_are_refused) {
  EXPECT_EQ(status_with("X: a\r\n b\r\n"), 400u);
  EXPECT_EQ(status_with("X: a\r\n\tb\r\n"), 400u);
  EXPECT_EQ(status_with("X:\r\n b\r\n"), 400u);
  EXPECT_EQ(status_with("Transfer-Encoding:\r\n chunked\r\n"), 400u);
  EXPECT_EQ(status_with(" X: a\r\n"), 400u);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), 400u);
}

TEST(RequestParser, control_characters_are_refused) {
  using namespace std::string_view_literals;
  EXPECT_EQ(status_with("X: a\0b\r\n"sv), 400u);
  EXPECT_EQ(status_with("X\0: a\r\n"sv), 400u);
  EXPECT_EQ(status_with("X: a\x7f\r\n"), 400u);
  EXPECT_EQ(status_with("X: a\x01\r\n"), 400u);
  EXPECT_EQ(status_of("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"sv), 400u);
  EXPECT_EQ(status_with("X: caf\xc3\xa9\r\n"), 0u);
}

TEST(RequestParser, a_name_is_a_token_with_the_colon_behind_it) {
  EXPECT_EQ(status_with("X : a\r\n"), 400u);
  EXPECT_EQ(status_with("Content-Length : 5\r\n", "hello"), 400u);
  EXPECT_EQ(status_with("X Y: a\r\n"), 400u);
  EXPECT_EQ(status_with("X\r\n"), 400u);
  EXPECT_EQ(status_with(": a\r\n"), 400u);
  EXPECT_EQ(status_with("X(y): a\r\n"), 400u);
}

TEST(RequestParser, a_length_is_given_once_and_in_digits) {
  EXPECT_EQ(status_with("Content-Length: 2\r\n", "ab"), 0u);
  EXPECT_EQ(status_with("Content-Length: 2\r\nContent-Length: 2\r\n", "ab"), 400u);
  EXPECT_EQ(status_with("Content-Length: 2\r\ncontent-length: 3\r\n", "ab"), 400u);
  EXPECT_EQ(status_with("Content-Length: 2, 2\r\n", "ab"), 400u);
  EXPECT_EQ(status_with("Content-Length: +2\r\n", "ab"), 400u);
  EXPECT_EQ(status_with("Content-Length: -2\r\n", "ab"), 400u);
  EXPECT_EQ(status_with("Content-Length: 0x2\r\n", "ab"), 400u);
  EXPECT_EQ(status_with("Content-Length: 2 2\r\n", "ab"), 400u);
  EXPECT_EQ(status_with("Content-Length:\r\n"), 400u);
  EXPECT_EQ(status_with("Content-Length: 99999999999999999999999\r\n"), 400u);
}

TEST(RequestParser, a_length_beside_a_transfer_coding_is_refused) {
  EXPECT_EQ(status_with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400u);
  EXPECT_EQ(status_with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400u);
}

TEST(RequestParser, chunked_is_the_only_transfer_coding_known) {
  EXPECT_EQ(status_with("Transfer-Encoding: gzip, chunked\r\n"), 501u);
  EXPECT_EQ(status_with("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), 501u);
  EXPECT_EQ(status_with("Transfer-Encoding: xchunked\r\n"), 501u);
  EXPECT_EQ(status_with("Transfer-Encoding: identity\r\n"), 501u);
  EXPECT_EQ(status_with("Transfer-Encoding: chunked, chunked\r\n"), 400u);
  EXPECT_EQ(status_with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400u);
  EXPECT_EQ(status_with("Transfer-Encoding:\r\n"), 400u);
}

TEST(RequestParser, a_request_names_one_host) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\n\r\n"), 0u);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 0u);
}

TEST(RequestParser, chunks_are_framed_exactly) {
  EXPECT_EQ(status_of_chunks("5\r\nhello\r\n0\r\n\r\n"), 0u);
  EXPECT_EQ(status_of_chunks("A\r\n0123456789\r\n0\r\n\r\n"), 0u);
  EXPECT_EQ(status_of_chunks("5\r\nhelloXX0\r\n\r\n"), 400u);
  EXPECT_EQ(status_of_chunks("5\r\nhello0\r\n\r\n"), 400u);
  EXPECT_EQ(status_of_chunks("5\nhello\r\n0\r\n\r\n"), 400u);
  EXPECT_EQ(status_of_chunks("5\rXhello\r\n0\r\n\r\n"), 400u);
  EXPECT_EQ(status_of_chunks("5\r\nhello\n0\r\n\r\n"), 400u);
  EXPECT_EQ(status_of_chunks("5\r\nhello\r\n0\n\n"), 400u);
  EXPECT_EQ(status_of_chunks("5\r\nhello\r\n0\r\n\n"), 400u);
  EXPECT_EQ(status_of_chunks("\r\n5\r\nhello\r\n0\r\n\r\n"), 400u);
  EXPECT_EQ(status_of_chunks("0x5\r\nhello\r\n0\r\n\r\n"), 400u);
  EXPECT_EQ(status_of_chunks("+5\r\nhello\r\n0\r\n\r\n"), 400u);
  EXPECT_EQ(status_of_chunks("-5\r\nhello\r\n0\r\n\r\n"), 400u);
  EXPECT_EQ(status_of_chunks("5 7\r\nhello\r\n0\r\n\r\n"), 400u);
  EXPECT_EQ(status_of_chunks("5 \r\nhello\r\n0\r\n\r\n"), 400u);
  EXPECT_EQ(status_of_chunks("5;a=b\nc\r\nhello\r\n0\r\n\r\n"), 400u);
  EXPECT_EQ(status_of_chunks("5;a=b\r\nhello\r\n0;c\r\n\r\n"), 0u);
  EXPECT_EQ(status_of_chunks("00000000000000005\r\nhello\r\n0\r\n\r\n"), 400u);
  EXPECT_EQ(status_of_chunks("ffffffffffffffffff\r\n"), 400u);
}

TEST(RequestParser, trailers_are_dropped_and_held_to_the_same_rules) {
  EXPECT_EQ(status_of_chunks("0\r\nA: b\r\nC: d\r\n\r\n"), 0u);
  EXPECT_EQ(status_of_chunks("0\r\nA: b\n\r\n"), 400u);
  EXPECT_EQ(status_of_chunks("0\r\nA: b\r\n c\r\n\r\n"), 400u);
  EXPECT_EQ(status_of_chunks("0\r\nA : b\r\n\r\n"), 400u);
  feeder it;
  const std::string asked =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n";
  ASSERT_EQ(it.feed(asked + get), outcome::complete);
  EXPECT_EQ(it.found().headers.size(), 2u);
  EXPECT_EQ(it.next(), outcome::complete);
  EXPECT_EQ(it.found().method, "GET");
}

TEST(RequestParser, limits_hold_exactly) {
  options small;
  small.max_line_bytes = 64;
  small.max_header_bytes = 200;
  small.max_headers = 4;
  small.max_body_bytes = 10;
  const auto get_of = [](std::size_t target) {
    return "GET /" + std::string(target - 1, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n";
  };
  EXPECT_EQ(status_of(get_of(51), small), 0u);
  EXPECT_EQ(status_of(get_of(52), small), 414u);
  EXPECT_EQ(status_of("GET /" + std::string(1000, 'a'), small), 414u);

  const std::string begin = "GET / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(status_of(begin + "X: " + std::string(61, 'a') + "\r\n\r\n", small), 0u);
  EXPECT_EQ(status_of(begin + "X: " + std::string(62, 'a') + "\r\n\r\n", small), 431u);
  EXPECT_EQ(status_of(begin + std::string(1000, 'a'), small), 431u);
  EXPECT_EQ(status_of(begin + "A: b\r\nC: d\r\nE: f\r\n\r\n", small), 0u);
  EXPECT_EQ(status_of(begin + "A: b\r\nC: d\r\nE: f\r\nG: h\r\n\r\n", small), 431u);
  const std::string line = "X: " + std::string(55, 'a') + "\r\n";
  EXPECT_EQ(status_of(begin + line + line + "\r\n", small), 0u);
  EXPECT_EQ(status_of(begin + line + line + line + "\r\n", small), 431u);

  const std::string send = "POST / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(status_of(send + "Content-Length: 10\r\n\r\n0123456789", small), 0u);
  EXPECT_EQ(status_of(send + "Content-Length: 11\r\n\r\n", small), 413u);
  const std::string in_chunks = send + "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(status_of(in_chunks + "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n", small), 0u);
  EXPECT_EQ(status_of(in_chunks + "5\r\n01234\r\n6\r\n", small), 413u);
  EXPECT_EQ(status_of(in_chunks + "fffffffffffffff\r\n", small), 413u);
}

TEST(RequestParser, chunk_extensions_and_trailers_are_bounded) {
  const std::string send = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(status_of(send + "1;" + std::string(20'000, 'x')), 400u);
  EXPECT_EQ(status_of(send + "0\r\n" + std::string(20'000, 'x')), 400u);
  std::string many = send;
  for (int i = 0; i < 3'000; ++i) many += "1;abcdefgh\r\nx\r\n";
  EXPECT_EQ(status_of(many), 400u);
}

TEST(RequestParser, a_refused_parser_stays_refused) {
  feeder it;
  ASSERT_EQ(it.feed("nonsense\r\n"), outcome::refused);
  EXPECT_EQ(it.feed(get), outcome::refused);
  EXPECT_EQ(it.parser.status(), 400u);
}

}  // namespace
