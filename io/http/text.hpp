// What HTTP's grammar says about characters and names (RFC 9110, 5.6.2). Private to io/.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace axle::io::http {

inline constexpr std::array<bool, 256> token_characters = [] {
  std::array<bool, 256> table = {};
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
  for (unsigned char c = '0'; c <= '9'; ++c) table[c] = true;
  for (unsigned char c = 'a'; c <= 'z'; ++c) table[c] = table[c - 'a' + 'A'] = true;
  return table;
}();

constexpr bool is_token(char c) noexcept { return token_characters[static_cast<unsigned char>(c)]; }

constexpr bool is_token(std::string_view text) noexcept {
  bool good = !text.empty();
  for (const char c : text) good &= is_token(c);
  return good;
}

/// A character that a header's value may hold: no control character but the tab.
constexpr bool is_field_text(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

constexpr bool is_field_text(std::string_view text) noexcept {
  bool good = true;
  for (const char c : text) good &= is_field_text(c);
  return good;
}

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

/// Names differ in case only.
constexpr bool same_name(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i] && lower(a[i]) != lower(b[i])) return false;
  return true;
}

constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

/// Without blanks at either end.
constexpr std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace axle::io::http
