// The data path of a connection, top to bottom: receive, send, time, close. Owning loop only.
//
// Where each is kick-started: receiving by the first recv() and again by a recv() that finds it ended; sending by the
// write that finds none in flight; the clock by a wait that has a timeout.
#include "connection.hpp"

#include <limits.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace axle::io {

namespace detail {

using axle::detail::loop_core;
using axle::detail::this_loop;
using axle::detail::wait_kind;
using axle::detail::wait_node;

namespace {

constexpr std::uint32_t chain_most = 16;  // received buffers that one connection may hold untaken
constexpr unsigned joined_most = 64;      // parts of a joined write

connection& of_receive(wait_node& node) noexcept {
  return static_cast<connection&>(static_cast<receive_operation&>(static_cast<io_operation&>(node)));
}
connection& of_clock(wait_node& node) noexcept {
  return static_cast<connection&>(
      static_cast<connection_clock&>(static_cast<axle::detail::timer_node&>(node)));
}

}  // namespace

struct joined_write {
  msghdr header;
  iovec parts[joined_most];
};

// ---- receive --------------------------------------------------------------------------------------------------------

const wait_kind connection::receive_kind = {
    .complete = [](wait_node& node) noexcept { of_receive(node).received(); },
    .cancel = nullptr,
    .what = "receive",
};

receive_await::receive_await(connection* from, std::int64_t timeout_ns) noexcept
    : from_(&checked(from, "recv")), timeout_ns_(timeout_ns < 0 ? from_->read_timeout_ns : timeout_ns) {
  kind = &connection::reader_kind;
}

bool receive_await::available() const noexcept { return from_->chain.count != 0 || from_->ended != 1; }

void receive_await::begin() noexcept { from_->wait_to_read(*this); }

void connection::wait_to_read(receive_await& waiting) noexcept {
  AXLE_CHECK(reader == nullptr, "two tasks read one tcp_stream: let one read and hand the data on");
  reader = &waiting;
  if (!receiving) start_receiving();
  if (waiting.timeout_ns_ <= 0) return;
  read_deadline_ns = axle::detail::deadline_after(driver().now(), waiting.timeout_ns_);
  set_clock(read_deadline_ns);
}

// The first receive of a connection is for one result only: many a connection ends after one request, and then there is
// nothing to cancel.
void connection::start_receiving() noexcept {
  receiving = true;
  receive().once = !has_received;
  has_received = true;
  ++in_flight;
  loop->stage(receive());
}

void connection::received() noexcept {
  if (res <= 0 && !more && res != -ECANCELED) ended = res;
  if (!more) {
    receiving = false;
    --in_flight;
    if (closing) return free_if_done();
  } else if (chain.count > chain_most) {
    driver().cancel(
        receive());  // a reader that lags must not take the core's buffers; the next recv() starts again
  }
  if (!reader) return;
  if (chain.count || ended != 1) {
    wake_reader(false);
  } else if (!receiving) {
    start_receiving();  // it was ended by a cancel that nobody wants any more
  }
}

void connection::wake_reader(bool to_end) noexcept {
  receive_await& woken = *std::exchange(reader, nullptr);
  read_deadline_ns = timer_wheel::never;
  resume_now(*woken.waiter, to_end);
}

// The receive itself may go on: what arrives is the next reader's.
void connection::cancel_reader() noexcept {
  receive_await& cut = *std::exchange(reader, nullptr);
  read_deadline_ns = timer_wheel::never;
  loop->make_ready_to_end(*cut.waiter);
}

const wait_kind connection::reader_kind = {
    .complete = nullptr,
    .cancel = [](wait_node& node) noexcept { static_cast<receive_await&>(node).from_->cancel_reader(); },
    .what = "tcp_stream: receive",
};

buffer connection::take_buffer() noexcept {
  alloc::buffer_pool& pool = driver().buffers();
  const alloc::buffer_id id = chain.head;
  chain.head = pool.next(id);
  --chain.count;
  const std::uint32_t offset = std::exchange(head_offset, 0);
  return buffer(pool, id, offset, pool.filled(id) - offset);
}

std::size_t connection::copy_out(std::span<std::byte> into) noexcept {
  alloc::buffer_pool& pool = driver().buffers();
  std::size_t copied = 0;
  while (chain.count && copied < into.size()) {
    const std::size_t part =
        std::min<std::size_t>(into.size() - copied, pool.filled(chain.head) - head_offset);
    std::memcpy(into.data() + copied, pool.memory(chain.head) + head_offset, part);
    copied += part;
    head_offset += static_cast<std::uint32_t>(part);
    if (head_offset == pool.filled(chain.head)) take_buffer();
  }
  return copied;
}

result<buffer> recv_await::await_resume() {
  axle::detail::throw_if_cut();
  if (from_->chain.count) return from_->take_buffer();
  if (timed_out_) return fail(errc::timed_out);
  if (from_->ended < 0) return fail_errno(from_->ended);
  return buffer();
}

result<std::size_t> read_await::await_resume() {
  axle::detail::throw_if_cut();
  if (from_->chain.count) return from_->copy_out(into_);
  if (timed_out_) return fail(errc::timed_out);
  if (from_->ended < 0) return fail_errno(from_->ended);
  return std::size_t{0};
}

// ---- send -----------------------------------------------------------------------------------------------------------

const wait_kind connection::writer_kind = {
    .complete =
        [](wait_node& node) noexcept {
          auto& first = static_cast<write_await&>(static_cast<io_operation&>(node));
          first.to_->sent(first);
        },
    .cancel =
        [](wait_node& node) noexcept {
          auto& writer = static_cast<write_await&>(static_cast<io_operation&>(node));
          writer.to_->cancel_writer(writer);
        },
    .what = "tcp_stream: write",
};

write_await::write_await(connection* to, std::span<const std::byte> data, std::int64_t timeout_ns) noexcept
    : to_(&checked(to, "write_all")),
      one_(data),
      left_(data.size()),
      timeout_ns_(timeout_ns < 0 ? to_->write_timeout_ns : timeout_ns) {
  kind = &connection::writer_kind;
}

write_await::write_await(connection* to, std::span<const std::span<const std::byte>> parts,
                         std::int64_t timeout_ns) noexcept
    : to_(&checked(to, "write_all")),
      several_(parts),
      left_(0),
      timeout_ns_(timeout_ns < 0 ? to_->write_timeout_ns : timeout_ns) {
  kind = &connection::writer_kind;
  for (const auto& part : parts) left_ += part.size();
}

std::span<const std::span<const std::byte>> write_await::parts() const noexcept {
  return several_.empty() ? std::span(&one_, 1) : several_;
}

void write_await::begin() noexcept { to_->enqueue(*this); }

result<void> write_await::await_resume() {
  axle::detail::throw_if_cut();
  if (error_) return fail_errno(error_);
  return {};
}

// A write that finds the line free is staged alone. Those that come later in the same turn, before the driver has it, are
// joined to it; those that come while it is in flight are joined to each other.
void connection::enqueue(write_await& writer) noexcept {
  if (last_writer) {
    last_writer->behind_ = &writer;
  } else {
    first_writer = &writer;
  }
  last_writer = &writer;
  if (!sending) {
    send_next();
  } else if (!first_writer->submitted) {
    join_into(*first_writer);
  }
}

void connection::send_next() noexcept {
  write_await& first = *first_writer;
  sending = true;
  ++in_flight;
  first.handle = socket;
  join_into(first);
  if (first.timeout_ns_ > 0) {
    write_deadline_ns = axle::detail::deadline_after(driver().now(), first.timeout_ns_);
    set_clock(write_deadline_ns);
  }
  loop->stage(first);
}

// The first writer's operation carries what all waiting writers have left, as far as there is room.
void connection::join_into(write_await& first) noexcept {
  const bool alone = !first.behind_ && first.several_.empty();
  if (!alone && !joined) {
    try {
      joined = ::new (alloc::frame_allocate(sizeof(joined_write))) joined_write;
    } catch (const std::bad_alloc&) {
      joined = nullptr;  // without memory to join, parts go one by one
    }
  }
  unsigned count = 0;
  iovec one_part;
  iovec* const parts = joined ? joined->parts : &one_part;
  const unsigned room = joined ? joined_most : 1;
  for (write_await* each = &first; each && count < room; each = each->behind_) {
    std::size_t skip = each->done_;
    each->in_message_ = true;
    for (const std::span<const std::byte>& part : each->parts()) {
      if (count == room) break;
      if (skip >= part.size()) {
        skip -= part.size();
        continue;
      }
      parts[count++] = {const_cast<std::byte*>(part.data() + skip), part.size() - skip};
      skip = 0;
    }
  }
  if (count == 1) {
    first.set_code(opcode::send);
    first.block = {parts[0].iov_base, parts[0].iov_len};
    return;
  }
  joined->header = {};
  joined->header.msg_iov = joined->parts;
  joined->header.msg_iovlen = count;
  first.set_code(opcode::send_message);
  first.message = {&joined->header};
}

// Bytes are counted off the writers in order. Those that are through go on, as do those that were cut off; the rest is
// sent next.
void connection::sent(write_await& first) noexcept {
  const std::int32_t got = first.res;
  const bool broken = got < 0 && got != -ECANCELED;
  sending = false;
  --in_flight;
  write_deadline_ns = timer_wheel::never;
  std::size_t bytes = got > 0 ? static_cast<std::size_t>(got) : 0;

  write_await* over = nullptr;
  write_await** over_end = &over;
  write_await* waiting = std::exchange(first_writer, nullptr);
  last_writer = nullptr;
  while (waiting) {
    write_await& writer = *waiting;
    waiting = writer.behind_;
    writer.behind_ = nullptr;
    writer.in_message_ = false;
    const std::size_t part = std::min(bytes, writer.left_);
    writer.done_ += part;
    writer.left_ -= part;
    bytes -= part;
    if (writer.left_ && broken) writer.error_ = got;
    if (writer.left_ && writer.timed_out_) writer.error_ = ETIMEDOUT;
    if (!writer.left_ || writer.error_ || writer.cut_) {
      *over_end = &writer;
      over_end = &writer.behind_;
    } else {
      (last_writer ? last_writer->behind_ : first_writer) = &writer;
      last_writer = &writer;
    }
  }
  if (first_writer) {
    send_next();
  } else {
    unjoin();
  }
  while (over) {  // resuming a writer may free it, and this connection with the last
    write_await& writer = *over;
    over = writer.behind_;
    resume_now(*writer.waiter, writer.cut_ && writer.left_ && !writer.error_);
  }
}

// What is in flight is called off as a whole: it is sent again without the writer that was cut.
void connection::cancel_writer(write_await& writer) noexcept {
  if (writer.cut_) return;
  writer.cut_ = true;
  if (writer.in_message_) return driver().cancel(*first_writer);
  write_await* before = first_writer;
  while (before->behind_ != &writer) before = before->behind_;
  before->behind_ = writer.behind_;
  if (last_writer == &writer) last_writer = before;
  loop->make_ready_to_end(*writer.waiter);
}

void connection::unjoin() noexcept {
  if (joined) alloc::frame_free(std::exchange(joined, nullptr), sizeof(joined_write));
}

// ---- time -----------------------------------------------------------------------------------------------------------

const wait_kind connection::clock_kind = {
    .complete = [](wait_node& node) noexcept { of_clock(node).clock_struck(); },
    .cancel = nullptr,
    .what = "tcp_stream: timeout",
};

// Moving a deadline back is one comparison: the clock stays where it is filed and finds out when it strikes.
void connection::set_clock(std::int64_t at_ns) noexcept {
  if (armed()) {
    if (deadline_ns <= at_ns) return;
    loop->wheel.disarm(clock());
  }
  deadline_ns = at_ns;
  loop->wheel.arm(clock());
}

void connection::clock_struck() noexcept {
  const std::int64_t now_ns = loop->now_ns;
  if (write_deadline_ns <= now_ns) {
    write_deadline_ns = timer_wheel::never;
    first_writer->timed_out_ = true;
    driver().cancel(*first_writer);
  }
  const std::int64_t next_ns =
      std::min(read_deadline_ns > now_ns ? read_deadline_ns : timer_wheel::never, write_deadline_ns);
  if (next_ns != timer_wheel::never) set_clock(next_ns);
  if (read_deadline_ns <= now_ns) {
    reader->timed_out_ = true;
    wake_reader(false);
  }
}

// ---- life -----------------------------------------------------------------------------------------------------------

connection::connection(std::int32_t owned_handle, loop_core& on) noexcept : loop(&on), socket(owned_handle) {
  receive().kind = &receive_kind;
  receive().handle = owned_handle;
  set_code(opcode::receive_leased);
  chain = {alloc::no_buffer, alloc::no_buffer, 0};
  clock().kind = &clock_kind;
}

connection* connection::make(std::int32_t owned_handle) {
  loop_core& loop = *this_loop;
  try {
    return ::new (alloc::frame_allocate(sizeof(connection))) connection(owned_handle, loop);
  } catch (const std::bad_alloc&) {
    static_cast<io_driver&>(*loop.drives).discard(owned_handle);
    throw;
  }
}

// The stream is gone. What the driver has is cancelled and the handle closed, in that order; the block stays until all of
// it has come back.
void connection::let_go() noexcept {
  AXLE_CHECK(reader == nullptr && first_writer == nullptr,
             "a tcp_stream was closed while a task reads or writes it");
  closing = true;
  loop->wheel.disarm(clock());
  unjoin();
  while (chain.count) take_buffer();
  if (receiving) driver().cancel(receive());
  close_handle();
  free_if_done();
}

namespace {

struct close_operation : io_operation {
  connection* of;
};

const wait_kind close_kind = {
    .complete =
        [](wait_node& node) noexcept {
          auto& closed = static_cast<close_operation&>(static_cast<io_operation&>(node));
          connection& of = *closed.of;
          closed.~close_operation();
          alloc::frame_free(&closed, sizeof(close_operation));
          --of.in_flight;
          of.free_if_done();
        },
    .cancel = nullptr,
    .what = "close",
};

}  // namespace

// Submitted behind the cancel of the receive; the kernel takes them in that order.
void connection::close_handle() noexcept {
  try {
    auto* closed = ::new (alloc::frame_allocate(sizeof(close_operation))) close_operation;
    closed->kind = &close_kind;
    closed->set_code(opcode::close);
    closed->handle = socket;
    closed->of = this;
    ++in_flight;
    loop->stage(*closed);
  } catch (const std::bad_alloc&) {
    driver().discard(socket);
  }
}

void connection::free_if_done() noexcept {
  if (in_flight) return;
  while (chain.count) take_buffer();  // data that the cancelled receive brought along
  connection* const ended_here = this;
  ended_here->~connection();
  alloc::frame_free(ended_here, sizeof(connection));
}

}  // namespace detail

}  // namespace axle::io
