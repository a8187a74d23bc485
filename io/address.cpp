// Parsing and printing addresses: inet_pton and inet_ntop do the work.
#include <axle/io/address.hpp>

#include <arpa/inet.h>
#include <net/if.h>

#include <charconv>
#include <cstring>
#include <optional>
#include <stdexcept>

namespace axle::io {

namespace {

std::optional<address> parse_host(std::string_view host, std::uint16_t port) {
  if (host.empty() || host == "*") return address::from_v4({0, 0, 0, 0}, port);
  if (host.find('\0') != std::string_view::npos) return std::nullopt;  // what follows would be ignored below
  std::string text(host);
  in_addr v4;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    std::array<std::uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &v4, sizeof v4);
    return address::from_v4(bytes, port);
  }
  std::uint32_t scope = 0;
  if (const std::size_t percent = text.find('%'); percent != std::string::npos) {
    const std::string zone = text.substr(percent + 1);
    text.resize(percent);
    scope = if_nametoindex(zone.c_str());
    if (!scope) {
      const auto [end, error] = std::from_chars(zone.data(), zone.data() + zone.size(), scope);
      if (error != std::errc() || end != zone.data() + zone.size()) return std::nullopt;
    }
  }
  in6_addr v6;
  if (inet_pton(AF_INET6, text.c_str(), &v6) != 1) return std::nullopt;
  std::array<std::uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &v6, sizeof v6);
  return address::from_v6(bytes, port, scope);
}

}  // namespace

address::address(std::string_view host, std::uint16_t port) {
  const auto parsed = parse_host(host, port);
  if (!parsed)
    throw std::invalid_argument("\"" + std::string(host) +
                                "\" is neither an IPv4 nor an IPv6 address; names are not looked up here");
  *this = *parsed;
}

result<address> address::parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return fail(errc::invalid_argument);
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (bracketed != (host.find(':') != std::string_view::npos)) return fail(errc::invalid_argument);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size())
    return fail(errc::invalid_argument);
  const auto parsed = parse_host(host, port);
  if (!parsed) return fail(errc::invalid_argument);
  return *parsed;
}

std::string address::to_string() const {
  if (family_ == family::none) return "(no address)";
  char text[INET6_ADDRSTRLEN];
  inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
  std::string zone = scope_ ? "%" + std::to_string(scope_) : "";
  return (is_v4() ? std::string(text) : "[" + std::string(text) + zone + "]") + ":" + std::to_string(port_);
}

}  // namespace axle::io
