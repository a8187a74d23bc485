// RU: a bare io_uring echo loop, one of the two yardsticks. One thread, no runtime.
//
// One io_uring_enter a turn; one multishot accept; one multishot receive per connection, into provided
// buffers; sends staged while completions are handled; buffers given back in one advance. Nothing
// is allocated per request.
//
// Tried, as CPU per request against the epoll loop in the same run (Linux 6.18, 2 vCPU; about 40 paired
// slices each, standard error 0.02 to 0.04), at 64 connections x 64 B unless said otherwise:
//   this loop                    0.93 to 0.98 (1,000 connections: 0.93; one connection: 1.10)
//   send() at once (--direct)    1.00 to 1.03 (1,000 connections: 0.99; one connection: 1.03)
//   a receive per request        this loop + 0.09 (--single); with a buffer per connection + 0.04
//   waiting for twice the staged sends, at most 5 us (min_wait): 0.94 to 0.98, and 0.04 entries per request
//                                instead of 0.30; at most 50 us: throughput -10 %
//   fixed files, NO_SQARRAY, without DEFER_TASKRUN, MSG_WAITALL, receive bundles, incremental buffers,
//   64 to 4,096 buffers of 128 B to 4 KiB, huge pages: no difference beyond the error
//   16 KiB messages: buffers of 64 KiB 0.94, 16 KiB 0.97, 4 KiB bundled and sent with one sendmsg 1.08,
//                    4 KiB sent one by one 3.3 - so a buffer must hold the message (--bytes-buffer)
//
// Invariant: a connection's descriptor is closed only when no operation on it is under way (no receive
// armed, no send in flight), so a completion always finds the connection it was meant for. Buffers of one
// connection are sent one after the other, in order; a buffer goes back to the kernel when its send has
// completed. As a yardstick it leaves out one defence: a peer that sends and never reads can hold all
// buffers.
#include <vector>

#include "ring.hpp"

namespace {

enum class kind : std::uint8_t { accept, receive, send, close };

std::uint64_t tag(kind what, int fd) { return std::uint64_t(what) | std::uint64_t(fd) << 8; }

constexpr unsigned none = ~0u;

struct connection {
  unsigned first = none;  // buffers waiting to be sent, oldest first; the oldest is in flight while `sending`
  unsigned last = none;
  unsigned offset = 0;  // of the oldest: what a short send has already taken
  bool receiving = false;
  bool sending = false;
  bool starved = false;  // its receive found no buffer and waits to be armed again
  bool closing = false;  // the peer has sent its last byte, or failed
};

struct ring_options {
  unsigned buffers;
  unsigned bytes_buffer;
  bool single;  // a receive per request instead of one for the connection's life
  bool direct;  // send() at once instead of a staged send
};

class echo_loop {
 public:
  echo_loop(int listener, const bench::server_options& server, const ring_options& options)
      : listener_(listener),
        server_(server),
        options_(options),
        ring_(4096, 32'768),
        buffers_(ring_, options.buffers, options.bytes_buffer),
        sizes_(options.buffers),
        next_(options.buffers, none),
        connections_(1024) {
    starved_.reserve(65'536);
    accept();
  }

  [[noreturn]] void run() {
    for (;;) {
      if (!server_.spin) {
        ring_.enter(1);
      } else if (ring_.worth_entering()) {
        ring_.enter(0);
      }
      ring_.collect([this](const io_uring_cqe& done) { complete(done); });
      buffers_.advance();
      if (!starved_.empty() && buffers_.available()) feed_starved();
    }
  }

 private:
  void complete(const io_uring_cqe& done) {
    int fd = int(done.user_data >> 8);
    switch (kind(done.user_data & 0xff)) {
      case kind::accept:
        return accepted(done);
      case kind::receive:
        return received(fd, done);
      case kind::send:
        return sent(fd, done.res);
      case kind::close:
        return void(close(fd));  // the one linked behind a send that came out short
    }
  }

  void accept() {
    accepting_ = true;
    io_uring_sqe* entry = ring_.take();
    entry->opcode = IORING_OP_ACCEPT;
    entry->fd = listener_;
    entry->ioprio = IORING_ACCEPT_MULTISHOT;
    entry->accept_flags = SOCK_CLOEXEC | (options_.direct ? SOCK_NONBLOCK : 0);
    entry->user_data = tag(kind::accept, listener_);
  }

  void accepted(const io_uring_cqe& done) {
    accepting_ = (done.flags & IORING_CQE_F_MORE) != 0;
    if (done.res < 0) return;  // out of descriptors: accepting goes on when a connection ends
    if (std::size_t(done.res) >= connections_.size()) connections_.resize(done.res + 1024);
    connections_[done.res] = {};
    receive(done.res);
    if (!accepting_) accept();
  }

  void receive(int fd) {
    connections_[fd].receiving = true;
    io_uring_sqe* entry = ring_.take();
    entry->opcode = IORING_OP_RECV;
    entry->fd = fd;
    entry->flags = IOSQE_BUFFER_SELECT;
    if (!options_.single && !server_.oneshot) entry->ioprio = IORING_RECV_MULTISHOT;
    entry->user_data = tag(kind::receive, fd);
  }

  void received(int fd, const io_uring_cqe& done) {
    connection& peer = connections_[fd];
    if (!(done.flags & IORING_CQE_F_MORE)) peer.receiving = false;
    unsigned id = done.flags >> IORING_CQE_BUFFER_SHIFT;
    bool leased = (done.flags & IORING_CQE_F_BUFFER) != 0;
    if (leased) buffers_.take();
    if (done.res <= 0) {
      if (leased) buffers_.give(id);
      if (done.res == -ENOBUFS) return starve(fd);
      if (done.res < 0 || peer.first == none) return end(fd);
      peer.closing = true;  // what was read is still to be sent
      return;
    }
    if (peer.closing) {
      buffers_.give(id);
    } else if (server_.oneshot) {
      return answer_and_close(fd, id, unsigned(done.res));
    } else {
      answer(fd, id, unsigned(done.res));
    }
    if (peer.receiving) return;
    if (peer.closing) return end(fd);
    receive(fd);
  }

  void answer(int fd, unsigned id, unsigned size) {
    connection& peer = connections_[fd];
    unsigned offset = 0;
    if (options_.direct && peer.first == none) {
      ssize_t taken = ::send(fd, buffers_.at(id), size, MSG_NOSIGNAL);
      if (taken == ssize_t(size)) return buffers_.give(id);
      offset = taken > 0 ? unsigned(taken) : 0;
    }
    sizes_[id] = size;
    next_[id] = none;
    if (peer.first == none) {
      peer.first = id;
      peer.offset = offset;
    } else {
      next_[peer.last] = id;
    }
    peer.last = id;
    if (!peer.sending) send(fd, 0);
  }

  // One answer, and the close linked behind it: both in the same turn, one completion for the two.
  void answer_and_close(int fd, unsigned id, unsigned size) {
    sizes_[id] = size;
    next_[id] = none;
    connections_[fd].first = connections_[fd].last = id;
    send(fd, IOSQE_IO_LINK)->msg_flags |= MSG_WAITALL;
    io_uring_sqe* entry = ring_.take();
    entry->opcode = IORING_OP_CLOSE;
    entry->fd = fd;
    entry->flags = IOSQE_CQE_SKIP_SUCCESS;
    entry->user_data = tag(kind::close, fd);
  }

  io_uring_sqe* send(int fd, std::uint8_t flags) {
    connection& peer = connections_[fd];
    peer.sending = true;
    io_uring_sqe* entry = ring_.take();
    entry->opcode = IORING_OP_SEND;
    entry->fd = fd;
    entry->flags = flags;
    entry->addr = reinterpret_cast<std::uint64_t>(buffers_.at(peer.first) + peer.offset);
    entry->len = sizes_[peer.first] - peer.offset;
    entry->msg_flags = MSG_NOSIGNAL;
    entry->user_data = tag(kind::send, fd);
    return entry;
  }

  void sent(int fd, int result) {
    connection& peer = connections_[fd];
    if (server_.oneshot) return answered(peer);
    peer.sending = false;
    if (result <= 0) return end(fd);
    peer.offset += unsigned(result);
    if (peer.offset == sizes_[peer.first]) release_oldest(peer);
    if (peer.first != none) return void(send(fd, 0));
    if (peer.closing) end(fd);
  }

  // Oneshot: the close behind this send has run, or its own completion says that it did not.
  void answered(connection& peer) {
    release_oldest(peer);
    if (!accepting_) accept();
  }

  void release_oldest(connection& peer) {
    unsigned id = peer.first;
    peer.first = next_[id];
    peer.offset = 0;
    buffers_.give(id);
  }

  // Closes once nothing is under way; until then it hurries what is.
  void end(int fd) {
    connection& peer = connections_[fd];
    peer.closing = true;
    while (!peer.sending && peer.first != none) release_oldest(peer);
    if (peer.receiving || peer.sending || peer.starved) return void(shutdown(fd, SHUT_RDWR));
    peer = {};
    close(fd);
    if (!accepting_) accept();
  }

  void starve(int fd) {
    connections_[fd].starved = true;
    starved_.push_back(fd);
  }

  void feed_starved() {
    for (int fd : starved_) {
      connections_[fd].starved = false;
      receive(fd);
    }
    starved_.clear();
  }

  int listener_;
  bench::server_options server_;
  ring_options options_;
  bench::ring ring_;
  bench::provided_buffers buffers_;
  std::vector<unsigned> sizes_;          // by buffer
  std::vector<unsigned> next_;           // by buffer: the one to send after it
  std::vector<connection> connections_;  // by descriptor
  std::vector<int> starved_;             // whose receive found no buffer
  bool accepting_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  bench::arguments given(argc, argv);
  bench::server_options server = bench::read_server_options(given);
  ring_options options;
  options.bytes_buffer = server.bytes_buffer ? server.bytes_buffer : 16'384;
  options.buffers = unsigned(given.number("--buffers", options.bytes_buffer > 4096 ? 256 : 1024));
  options.single = given.flag("--single");
  options.direct = given.flag("--direct");
  given.finish(
      "[--port N] [--cpu K] [--mode echo|oneshot] [--spin] [--bytes-buffer B] [--buffers N] [--single] "
      "[--direct]");
  bench::prepare_process(server);
  int listener = bench::listen_on(server);
  echo_loop loop(listener, server, options);
  bench::announce(listener);
  loop.run();
}
