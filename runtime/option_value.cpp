// Durations, sizes, numbers and booleans as people write them. Pure, but for the texts that are kept.
#include "option_value.hpp"

#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>
#include <mutex>
#include <set>
#include <utility>

namespace axle::detail {

namespace {

struct unit {
  std::string_view name;
  std::uint64_t is;
};
constexpr unit durations[] = {{"h", 3'600'000'000'000}, {"min", 60'000'000'000}, {"s", 1'000'000'000},
                              {"ms", 1'000'000},        {"us", 1'000},           {"ns", 1}};
constexpr unit sizes[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool whole_number(std::string_view text, auto& value) {
  if (text.empty() || !is_digit(text.front())) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

const unit* find_unit(std::string_view name, const auto& units) {
  for (const unit& each : units)
    if (each.name == name) return &each;
  return nullptr;
}

// "1.5" of a unit, which must come out even.
bool number_of(std::string_view number, std::uint64_t unit, std::uint64_t& value) {
  const std::size_t point = std::min(number.find('.'), number.size());
  if (!whole_number(number.substr(0, point), value) || __builtin_mul_overflow(value, unit, &value))
    return false;
  if (point == number.size()) return true;
  std::string_view digits = number.substr(point + 1);
  std::uint64_t part = 0, parts_of_one = 1;
  if (!whole_number(digits, part)) return false;
  for (; !digits.empty(); digits.remove_suffix(1))
    if (__builtin_mul_overflow(parts_of_one, 10, &parts_of_one)) return false;
  if (__builtin_mul_overflow(part, unit, &part) || part % parts_of_one) return false;
  return !__builtin_add_overflow(value, part / parts_of_one, &value);
}

bool number_with_unit(std::string_view text, const auto& units, std::uint64_t& value) {
  std::size_t digits = 0;
  while (digits < text.size() && (is_digit(text[digits]) || text[digits] == '.')) ++digits;
  const unit* found = find_unit(text.substr(digits), units);
  return found && number_of(text.substr(0, digits), found->is, value);
}

}  // namespace

bool read_value(std::string_view text, bool& value) {
  if (text != "true" && text != "false" && text != "1" && text != "0") return false;
  value = text == "true" || text == "1";
  return true;
}

namespace {

constexpr std::pair<std::string_view, poll_mode> poll_modes[] = {
    {"adaptive", poll_mode::adaptive}, {"busy", poll_mode::busy}, {"blocking", poll_mode::blocking}};

}  // namespace

bool read_value(std::string_view text, poll_mode& value) {
  for (const auto& [name, mode] : poll_modes)
    if (name == text) return value = mode, true;
  return false;
}
std::string write_value(poll_mode value) {
  for (const auto& [name, mode] : poll_modes)
    if (mode == value) return std::string(name);
  return {};
}

bool read_value(std::string_view text, unsigned& value) { return whole_number(text, value); }
bool read_value(std::string_view text, std::uint64_t& value) { return whole_number(text, value); }

bool read_value(std::string_view text, std::chrono::nanoseconds& value) {
  std::uint64_t ns = 0;
  if (!number_with_unit(text, durations, ns) || ns > std::numeric_limits<std::int64_t>::max()) return false;
  value = std::chrono::nanoseconds(ns);
  return true;
}

bool read_value(std::string_view text, std::string_view& value) {
  value = kept_text(text);
  return true;
}

// A bare number is that many loops, here and in core_choice(4); which processors there are, topology knows.
bool read_value(std::string_view text, core_choice& value) {
  unsigned count = 0;
  if (whole_number(text, count)) {
    if (count < 1 || count > 65'536) return false;
    value = count;
  } else {
    value = kept_text(text);
  }
  return true;
}

bool read_size(std::string_view text, std::uint64_t& value) {
  return whole_number(text, value) || number_with_unit(text, sizes, value);
}

std::string write_value(bool value) { return value ? "true" : "false"; }
std::string write_value(std::uint64_t value) { return std::to_string(value); }

std::string write_value(std::chrono::nanoseconds value) {
  const auto ns = static_cast<std::uint64_t>(value.count());
  if (value.count() <= 0) return value.count() == 0 ? "0s" : std::to_string(value.count()) + "ns";
  for (const unit& each : durations)
    if (ns % each.is == 0) return std::to_string(ns / each.is) + std::string(each.name);
  return {};
}

std::string write_value(std::string_view value) { return std::string(value); }

std::string write_value(const core_choice& value) {
  if (value.is_count()) return std::to_string(value.count());
  // core_choice("4") is processor 4, and not four loops.
  unsigned one = 0;
  const std::string text(value.text());
  return whole_number(text, one) ? text + '-' + text : text;
}

std::string write_size(std::uint64_t value) {
  for (const unit& each : sizes)
    if (value && value % each.is == 0) return std::to_string(value / each.is) + std::string(each.name);
  return std::to_string(value);
}

std::string_view kept_text(std::string_view text) {
  static std::mutex lock;
  static std::set<std::string, std::less<>> kept;
  const std::lock_guard guard(lock);
  const auto found = kept.find(text);
  return found != kept.end() ? *found : *kept.emplace(text).first;
}

}  // namespace axle::detail
