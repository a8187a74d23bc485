// RE: a bare epoll echo loop, one of the two yardsticks. One thread, no runtime.
//
// Each connection is registered once, edge-triggered, for both directions; then per request one recv, one
// send, and a share of an epoll_wait. A recv that returns less than it asked for has emptied the socket, so
// the second recv that would only say EAGAIN is left out; the edge for later data comes after the emptying.
//
// Invariant: a connection is in exactly one of two states. With nothing unsent it reads; with something
// unsent (the peer does not read) it stops reading and waits for the edge that says writable, so memory
// stays bounded.
#include <sys/epoll.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "../server.hpp"

namespace {

struct connection {
  std::unique_ptr<char[]> unsent;  // only while the peer does not keep up
  std::size_t unsent_bytes = 0;
};

class echo_loop {
 public:
  echo_loop(int listener, const bench::server_options& options)
      : listener_(listener),
        spin_(options.spin),
        oneshot_(options.oneshot),
        buffer_(options.bytes_buffer ? options.bytes_buffer : 65'536) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    watch(listener_, EPOLLIN | EPOLLET);
  }

  [[noreturn]] void run() {
    std::vector<epoll_event> events(512);
    for (;;) {
      int count = epoll_wait(epoll_, events.data(), int(events.size()), spin_ ? 0 : -1);
      for (int i = 0; i < count; ++i) {
        if (events[i].data.fd == listener_) {
          accept_all();
        } else {
          serve(events[i].data.fd, events[i].events);
        }
      }
    }
  }

 private:
  void watch(int fd, std::uint32_t what) {
    epoll_event event{.events = what, .data = {.fd = fd}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) bench::die("epoll_ctl");
  }

  void accept_all() {
    for (;;) {
      int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      if (std::size_t(fd) >= connections_.size()) connections_.resize(fd + 1024);
      if (oneshot_ && answer_at_once(fd)) continue;
      watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    }
  }

  // A request that came with the connection needs no registration.
  bool answer_at_once(int fd) {
    ssize_t size = recv(fd, buffer_.data(), buffer_.size(), 0);
    if (size < 0 && errno == EAGAIN) return false;
    if (size > 0) (void)!send(fd, buffer_.data(), size, MSG_NOSIGNAL);
    close(fd);
    return true;
  }

  void serve(int fd, std::uint32_t events) {
    connection& peer = connections_[fd];
    if (peer.unsent_bytes != 0 && !flush(fd, peer)) return;
    for (;;) {
      ssize_t size = recv(fd, buffer_.data(), buffer_.size(), 0);
      if (size < 0 && errno == EAGAIN) return;
      if (size <= 0) return drop(fd);
      ssize_t sent = send(fd, buffer_.data(), size, MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN) return drop(fd);
      if (sent < 0) sent = 0;
      if (sent < size) return keep(peer, buffer_.data() + sent, size - sent);
      if (oneshot_) return drop(fd);
      bool emptied = std::size_t(size) < buffer_.size() && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
      if (emptied) return;
    }
  }

  void keep(connection& peer, const char* data, std::size_t size) {
    peer.unsent = std::make_unique<char[]>(size);
    std::memcpy(peer.unsent.get(), data, size);
    peer.unsent_bytes = size;
  }

  // True when nothing is left unsent and reading may go on.
  bool flush(int fd, connection& peer) {
    ssize_t sent = send(fd, peer.unsent.get(), peer.unsent_bytes, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return false;
    if (sent < 0) return drop(fd), false;
    peer.unsent_bytes -= sent;
    std::memmove(peer.unsent.get(), peer.unsent.get() + sent, peer.unsent_bytes);
    if (peer.unsent_bytes == 0 && oneshot_) return drop(fd), false;
    return peer.unsent_bytes == 0;
  }

  void drop(int fd) {
    connections_[fd] = {};
    close(fd);
  }

  int listener_;
  int epoll_;
  bool spin_;
  bool oneshot_;
  std::vector<char> buffer_;
  std::vector<connection> connections_;  // by descriptor
};

}  // namespace

int main(int argc, char** argv) {
  bench::arguments given(argc, argv);
  bench::server_options options = bench::read_server_options(given);
  given.finish(bench::server_usage);
  bench::prepare_process(options);
  int listener = bench::listen_on(options);
  echo_loop loop(listener, options);
  bench::announce(listener);
  loop.run();
}
