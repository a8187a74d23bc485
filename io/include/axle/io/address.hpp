// address: an IPv4 or IPv6 address with a port. Parsed and printed without any name lookup.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <axle/alloc/frame_pool.hpp>  // AXLE_EXPORT
#include <axle/result.hpp>

namespace axle::io {

class address {
 public:
  enum class family : std::uint8_t { none, v4, v6 };

  address() = default;
  /// From a numeric host ("127.0.0.1", "::1", "fe80::1%2"; empty or "*": every IPv4 address) and a port. Throws
  /// std::invalid_argument that names the text.
  AXLE_EXPORT address(std::string_view host, std::uint16_t port);
  /// From "127.0.0.1:80" or "[::1]:80"; errc::invalid_argument if the text is neither.
  AXLE_EXPORT static result<address> parse(std::string_view text);

  family which() const noexcept { return family_; }
  bool is_v4() const noexcept { return family_ == family::v4; }
  bool is_v6() const noexcept { return family_ == family::v6; }
  std::uint16_t port() const noexcept { return port_; }
  /// The bytes in network order: 4 or 16.
  const std::array<std::uint8_t, 16>& bytes() const noexcept { return bytes_; }
  std::uint32_t scope() const noexcept { return scope_; }
  /// "127.0.0.1:80", "[::1]:80".
  AXLE_EXPORT std::string to_string() const;

  static address from_v4(std::array<std::uint8_t, 4> bytes, std::uint16_t port) noexcept {
    address made;
    for (std::size_t i = 0; i < bytes.size(); ++i) made.bytes_[i] = bytes[i];
    made.family_ = family::v4;
    made.port_ = port;
    return made;
  }
  static address from_v6(const std::array<std::uint8_t, 16>& bytes, std::uint16_t port,
                         std::uint32_t scope) noexcept {
    address made;
    made.bytes_ = bytes;
    made.family_ = family::v6;
    made.port_ = port;
    made.scope_ = scope;
    return made;
  }

  friend bool operator==(const address&, const address&) = default;

 private:
  std::array<std::uint8_t, 16> bytes_ = {};
  std::uint32_t scope_ = 0;
  std::uint16_t port_ = 0;
  family family_ = family::none;
};

}  // namespace axle::io
