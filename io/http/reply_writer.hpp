// reply_writer: a reply as bytes, appended to a connection's output: one resize and a few copies. Private to io/; one per
// server, so per core.
//
// What every reply shares is kept ready: "HTTP/1.1 200 OK\r\nServer: axle\r\nDate: ...\r\n", made anew when the second
// changes. The time is the system's coarse clock, read once for each batch of replies.
#pragma once

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>

#include <axle/io/http.hpp>

namespace axle::io::http {

/// RFC 9110's phrase for a status; empty if it has none.
constexpr std::string_view reason_of(unsigned status) noexcept {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 203:
      return "Non-Authoritative Information";
    case 204:
      return "No Content";
    case 205:
      return "Reset Content";
    case 206:
      return "Partial Content";
    case 300:
      return "Multiple Choices";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 425:
      return "Too Early";
    case 426:
      return "Upgrade Required";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 451:
      return "Unavailable For Legal Reasons";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return {};
  }
}

/// "Sun, 06 Nov 1994 08:49:37 GMT", whatever the locale (RFC 9110, 5.6.7).
inline std::string http_date(std::int64_t unix_seconds) {
  constexpr std::string_view days = "SunMonTueWedThuFriSat";
  constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const std::chrono::sys_seconds when{std::chrono::seconds(unix_seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(when);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(when - day);
  std::string text = "Day, 00 Mon 0000 00:00:00 GMT";
  const auto put = [&](std::size_t last, std::int64_t value, int digits) {
    for (; digits--; value /= 10) text[last--] = static_cast<char>('0' + value % 10);
  };
  text.replace(0, 3, days.substr(3 * std::chrono::weekday(day).c_encoding(), 3));
  text.replace(8, 3, months.substr(3 * (unsigned(date.month()) - 1), 3));
  put(6, unsigned(date.day()), 2);
  put(15, int(date.year()), 4);
  put(18, time.hours().count(), 2);
  put(21, time.minutes().count(), 2);
  put(24, time.seconds().count(), 2);
  return text;
}

class reply_writer {
 public:
  /// How the connection goes on; a client of HTTP/1.0 must be told that it does.
  enum class after : std::uint8_t { keep, keep_and_say_so, close };

  explicit reply_writer(std::string_view server_name) : server_name_(server_name) {}

  /// To be called once for each batch of replies.
  void look_at_clock() {
    const std::time_t now = std::time(nullptr);
    if (now != made_at_) make_opening(now);
  }

  /// The head, and the body if `with_body`, which it is not for HEAD, nor where it goes out by itself.
  void append(std::string& out, const response& reply, after connection, bool with_body) const {
    const bool may_have_body = reply.may_have_body();
    const std::string_view body =
        with_body && may_have_body ? std::string_view(reply.body_) : std::string_view{};
    const std::size_t begin = out.size();
    out.resize(begin + opening_.size() + reply.lines_.size() + reply.type_.size() + body.size() + 160);
    char* at = out.data() + begin;
    const auto put = [&at](std::string_view text) { at = std::copy(text.begin(), text.end(), at); };
    const auto put_number = [&at](std::size_t number) { at = std::to_chars(at, at + 20, number).ptr; };
    if (reply.status_ == 200) {
      put(opening_);
    } else {
      put("HTTP/1.1 ");
      put_number(reply.status_);
      put(" ");
      put(reason_of(reply.status_));
      put("\r\n");
      put(std::string_view(opening_).substr(ok_line.size()));
    }
    if (!reply.type_.empty()) {
      put("Content-Type: ");
      put(reply.type_);
      put("\r\n");
    }
    put(reply.lines_);
    if (may_have_body) {
      put("Content-Length: ");
      put_number(reply.body_.size());
      put("\r\n");
    }
    if (connection == after::close) put("Connection: close\r\n");
    if (connection == after::keep_and_say_so) put("Connection: keep-alive\r\n");
    put("\r\n");
    put(body);
    out.resize(static_cast<std::size_t>(at - out.data()));
  }

 private:
  static constexpr std::string_view ok_line = "HTTP/1.1 200 OK\r\n";

  void make_opening(std::time_t now) {
    opening_ = ok_line;
    if (!server_name_.empty()) opening_.append("Server: ").append(server_name_).append("\r\n");
    opening_.append("Date: ").append(http_date(now)).append("\r\n");
    made_at_ = now;
  }

  std::string_view server_name_;
  std::time_t made_at_ = -1;
  std::string opening_;
};

}  // namespace axle::io::http
