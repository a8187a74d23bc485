// option_value: the types that options have, read from text and written as text. Private to runtime/.
//
// read_value gives false for what is no such value; what write_value gives, read_value takes. A new type of option, such as
// an enumeration, is one overload of each of the three functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include <axle/poll_mode.hpp>
#include <axle/topology.hpp>

namespace axle::detail {

bool read_value(std::string_view text, bool& value);
bool read_value(std::string_view text, unsigned& value);
bool read_value(std::string_view text, std::uint64_t& value);
bool read_value(std::string_view text, std::chrono::nanoseconds& value);
bool read_value(std::string_view text, std::string_view& value);
bool read_value(std::string_view text, core_choice& value);
bool read_value(std::string_view text, poll_mode& value);
/// "16KiB", or plain.
bool read_size(std::string_view text, std::uint64_t& value);

std::string write_value(bool value);
std::string write_value(std::uint64_t value);
inline std::string write_value(unsigned value) { return write_value(std::uint64_t{value}); }
std::string write_value(std::chrono::nanoseconds value);
std::string write_value(std::string_view value);
std::string write_value(const core_choice& value);
std::string write_value(poll_mode value);
std::string write_size(std::uint64_t value);

/// What a value of this type looks like.
constexpr std::string_view looks_like(bool) { return "true or false"; }
constexpr std::string_view looks_like(std::uint64_t) { return "a whole number"; }
constexpr std::string_view looks_like(unsigned) { return "a whole number"; }
constexpr std::string_view looks_like(std::chrono::nanoseconds) {
  return "a duration such as \"500us\", \"10s\" or \"1.5ms\"";
}
constexpr std::string_view looks_like(std::string_view) { return "a text"; }
constexpr std::string_view looks_like(const core_choice&) {
  return "\"all\", \"physical\", \"performance\", \"node:0\", a number of loops, or a list such as \"0-3,8\"";
}

constexpr std::string_view looks_like(poll_mode) { return "adaptive, busy or blocking"; }

/// The text for as long as the process lives: options are views, and outlive what they were read from. Any thread.
std::string_view kept_text(std::string_view text);

}  // namespace axle::detail
