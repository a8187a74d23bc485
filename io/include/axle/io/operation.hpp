// io_operation: an operation with its arguments, filled in by a stream or listener, carried out by a driver.
//
// Data only: one switch in a driver prepares it, one takes its result. What the arguments point to belongs to the
// driver until the last completion. Free of operating-system headers, since awaiters in user frames contain it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <axle/alloc/buffer_pool.hpp>
#include <axle/driver.hpp>
#include <axle/io/address.hpp>

namespace axle::io::detail {

enum class opcode : std::uint8_t {
  nop,             // result 0
  accept,          // multishot: handles go to `accepted`; a failure ends it
  connect,         // to `peer`
  receive,         // once, into `block`; result: bytes, 0 at the end of the stream
  receive_leased,  // into buffers of the driver's pool, appended to `chain`; may be multishot (`more`) unless `once`; result: 0 at the
                   // end of the stream, else > 0
  send,            // `block`; result: bytes, possibly fewer than asked for
  send_message,    // `message`, a msghdr; as send
  close,           // the handle; nothing else may be in flight but operations that were cancelled before
};

/// Received data: filled buffers of the driver's pool, linked through it, oldest first.
struct buffer_chain {
  alloc::buffer_id head;
  alloc::buffer_id tail;
  std::uint32_t count;
};

inline void append(buffer_chain& chain, alloc::buffer_pool& pool, alloc::buffer_id id,
                   std::uint32_t bytes) noexcept {
  pool.filled(id) = bytes;
  pool.next(id) = alloc::no_buffer;
  if (chain.count++) {
    pool.next(chain.tail) = id;
  } else {
    chain.head = id;
  }
  chain.tail = id;
}

struct io_operation : axle::detail::operation {
  std::int32_t handle = -1;
  union {
    struct {
      void* data;
      std::size_t size;
    } block;
    struct {
      void* header;
    } message;
    buffer_chain chain;
    const address* peer;
    std::vector<std::int32_t>* accepted;
  };

  io_operation() noexcept : block{nullptr, 0} {}
  opcode code() const noexcept { return static_cast<opcode>(number); }
  void set_code(opcode code) noexcept { number = static_cast<std::uint8_t>(code); }
};

}  // namespace axle::io::detail
