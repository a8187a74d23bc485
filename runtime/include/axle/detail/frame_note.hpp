// frame_note: one word in each frame that says where it stands, and at its end what escaped from it.
//
//     not begun        the coroutine's own place, marked as such
//     begun            the latest co_await
//     ended            an exception_ptr; null if nothing escaped
//
// A co_await writes the address of static data the compiler made for it, so knowing at any time where every task stands
// costs one store an await and no memory. Owning core only.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <source_location>
#include <utility>

namespace axle::detail {

static_assert(sizeof(std::source_location) == sizeof(void*),
              "a source_location is one pointer to static data");
static_assert(sizeof(std::exception_ptr) == sizeof(void*), "an exception_ptr is one pointer");

class frame_note {
 public:
  explicit frame_note(std::source_location of_coroutine) noexcept { write(of_coroutine, unbegun); }
  ~frame_note() {
    if (holds_error()) error_in_place()->~exception_ptr();
  }
  frame_note(const frame_note&) = delete;
  frame_note& operator=(const frame_note&) = delete;

  void awaits_at(std::source_location where) noexcept { write(where, place); }
  /// The coroutine has returned a value.
  void ended() noexcept { clear(); }
  void failed(std::exception_ptr error) noexcept {
    ::new (static_cast<void*>(word_)) std::exception_ptr(std::move(error));
  }

  bool has_begun() const noexcept { return (bits() & tag) != unbegun; }
  /// Of a frame that has not ended.
  std::source_location where() const noexcept {
    return std::bit_cast<std::source_location>(reinterpret_cast<const void*>(bits() & ~tag));
  }
  bool holds_error() const noexcept { return bits() && !(bits() & tag); }
  /// What escaped; null if nothing did, or the frame has not ended.
  std::exception_ptr error() const noexcept { return holds_error() ? *error_in_place() : nullptr; }
  std::exception_ptr take_error() noexcept {
    if (!holds_error()) return nullptr;
    std::exception_ptr taken = std::move(*error_in_place());
    error_in_place()->~exception_ptr();
    clear();
    return taken;
  }

 private:
  static constexpr std::uintptr_t place = 1, unbegun = 2, tag = 3;

  std::uintptr_t bits() const noexcept {
    std::uintptr_t read;
    std::memcpy(&read, word_, sizeof read);
    return read;
  }
  void write(std::source_location where, std::uintptr_t mark) noexcept {
    const std::uintptr_t marked = reinterpret_cast<std::uintptr_t>(std::bit_cast<const void*>(where)) | mark;
    std::memcpy(word_, &marked, sizeof marked);
  }
  void clear() noexcept { std::memset(word_, 0, sizeof word_); }
  std::exception_ptr* error_in_place() noexcept {
    return std::launder(reinterpret_cast<std::exception_ptr*>(word_));
  }
  const std::exception_ptr* error_in_place() const noexcept {
    return std::launder(reinterpret_cast<const std::exception_ptr*>(word_));
  }

  alignas(std::exception_ptr) std::byte word_[sizeof(void*)];
};

}  // namespace axle::detail
