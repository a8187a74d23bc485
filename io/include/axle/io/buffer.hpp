// buffer: received bytes in a buffer leased from the core's pool; given back when the lease ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include <axle/alloc/buffer_pool.hpp>

namespace axle::io {

/// A lease of received data. Move-only; keep it only as long as needed, for a core has a fixed number of buffers. Belongs
/// to its core. Empty at the end of a stream.
class buffer {
 public:
  buffer() = default;
  buffer(alloc::buffer_pool& pool, alloc::buffer_id id, std::uint32_t offset, std::uint32_t size) noexcept
      : pool_(&pool), data_(pool.memory(id) + offset), size_(size), id_(id) {}
  buffer(buffer&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)),
        data_(other.data_),
        size_(std::exchange(other.size_, 0)),
        id_(other.id_) {}
  buffer& operator=(buffer&& other) noexcept {
    if (this != &other) {
      give_back();
      pool_ = std::exchange(other.pool_, nullptr);
      data_ = other.data_;
      size_ = std::exchange(other.size_, 0);
      id_ = other.id_;
    }
    return *this;
  }
  ~buffer() { give_back(); }

  std::byte* data() noexcept { return data_; }
  const std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  std::string_view text() const noexcept { return {reinterpret_cast<const char*>(data_), size_}; }
  operator std::span<const std::byte>() const noexcept { return {data_, size_}; }
  /// Drops bytes from the front.
  void remove_prefix(std::size_t bytes) noexcept {
    data_ += bytes;
    size_ -= static_cast<std::uint32_t>(bytes);
  }

 private:
  void give_back() noexcept {
    if (pool_) pool_->release(id_);
  }

  alloc::buffer_pool* pool_ = nullptr;
  std::byte* data_ = nullptr;
  std::uint32_t size_ = 0;
  alloc::buffer_id id_ = alloc::no_buffer;
};

}  // namespace axle::io
