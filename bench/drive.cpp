// The load generator: drives an echo server over loopback TCP and prints one JSON object about it.
//
// One thread, one edge-triggered epoll, independent of the library it measures. It never sleeps (--block
// changes that): a generator that sleeps makes the server pay for waking it with each answer. Replies are
// compared byte for byte in each connection's first round; after that their length is, and the bytes are
// dropped unread (MSG_TRUNC), which keeps the generator cheaper than any server.
//
// Closed loop: each connection sends its next request when the last answer is complete.
// Open loop (--open-rate): requests are due at fixed moments, sent whether or not answers came, and timed
// from the moment they were due. Idle (--idle N): opens connections, says so, and holds them until its input
// ends.
//
// Invariant: only requests begun and answered between the two readings of the server's cost are counted in
// it, but for the at most one request per connection under way at either end.
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "histogram.hpp"
#include "process_cost.hpp"
#include "server.hpp"

namespace {

using bench::die;

constexpr const char* usage =
    "--port N [--cpu K] [--connections C] [--bytes S] [--seconds T] [--warmup W] [--mode echo|oneshot]\n"
    "       [--pid SERVER] [--open-rate R] [--block] | --port N --idle N [--touch] --hold";

std::uint64_t now_ns() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::uint64_t(time.tv_sec) * 1'000'000'000 + std::uint64_t(time.tv_nsec);
}

struct drive_options {
  std::uint16_t port;
  int cpu;
  int pid;
  std::size_t connections;
  std::size_t bytes;
  double seconds;
  double warmup;
  double open_rate;
  bool oneshot;
  bool block;
};

// Start times of requests not yet answered, oldest first. Full means: the server is hopelessly behind.
class start_times {
 public:
  explicit start_times(std::size_t capacity) : times_(capacity) {}
  bool full() const { return tail_ - head_ == times_.size(); }
  std::size_t size() const { return tail_ - head_; }
  void push(std::uint64_t time) { times_[tail_++ & (times_.size() - 1)] = time; }
  std::uint64_t pop() { return times_[head_++ & (times_.size() - 1)]; }

 private:
  std::vector<std::uint64_t> times_;  // a power of two
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
};

struct connection {
  explicit connection(std::size_t capacity) : starts(capacity) {}

  int fd = -1;
  bool verified = false;       // its first answer was compared
  std::size_t unsent = 0;      // bytes of requests still to be written
  std::size_t received = 0;    // bytes of the answer under way
  std::uint64_t answered = 0;  // in the measured window
  start_times starts;
};

class load {
 public:
  explicit load(const drive_options& options)
      : options_(options),
        pattern_(options.bytes + pattern_period),
        incoming_(std::max<std::size_t>(options.bytes * 4, 65'536)),
        connections_(options.connections, connection(options.open_rate > 0 ? 4096 : 1)) {
    for (std::size_t i = 0; i < pattern_.size(); ++i) pattern_[i] = char(i % pattern_period);
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
  }

  void connect_all() {
    for (std::size_t i = 0; i < connections_.size(); ++i)
      open_connection(i, options_.oneshot ? SOCK_NONBLOCK : 0);
  }

  void run() {
    std::uint64_t begin = now_ns();
    measure_from_ = begin + std::uint64_t(options_.warmup * 1e9);
    end_ = measure_from_ + std::uint64_t(options_.seconds * 1e9);
    due_ = begin;
    if (options_.open_rate == 0) {
      for (std::size_t i = 0; i < connections_.size(); ++i) begin_request(i, begin);
    }
    std::vector<epoll_event> events(1024);
    std::uint64_t now = begin, idle_since = 0;
    while (now < end_) {
      if (!measuring_ && now >= measure_from_) start_measuring(now);
      if (options_.open_rate > 0) send_due(now);
      int count = epoll_wait(epoll_, events.data(), int(events.size()), options_.block ? 10 : 0);
      now = now_ns();
      if (count <= 0) {
        if (idle_since == 0) idle_since = now;
        continue;
      }
      if (idle_since != 0 && measuring_) idle_ns_ += now - std::max(idle_since, started_);
      idle_since = 0;
      for (int i = 0; i < count; ++i) handle(events[i].data.u32, events[i].events);
    }
    if (idle_since != 0 && measuring_) idle_ns_ += now - std::max(idle_since, started_);
    finished_ = now;
    spent_ = bench::read_process_cost(options_.pid) - spent_;
    own_spent_ = bench::read_process_cost(getpid()) - own_spent_;
  }

  void print() const {
    double seconds = double(finished_ - started_) / 1e9;
    std::uint64_t least = connections_[0].answered, most = least;
    for (const connection& c : connections_) {
      least = std::min(least, c.answered);
      most = std::max(most, c.answered);
    }
    double server = spent_.cpu_ns / 1e9 / seconds;
    double busy = options_.block ? own_spent_.cpu_ns / 1e9 / seconds : 1 - double(idle_ns_) / 1e9 / seconds;
    const char* bottleneck =
        busy > 0.97 ? (server > 0.97 ? "both" : "generator") : (server > 0.97 ? "server" : "neither");
    std::printf("{\"mode\":\"%s\",\"connections\":%zu,\"bytes\":%zu,\"open_rate\":%g,",
                options_.oneshot ? "oneshot" : "echo", connections_.size(), options_.bytes,
                options_.open_rate);
    std::printf("\"requests\":%llu,\"seconds\":%.6f,\"requests_per_second\":%.1f,",
                (unsigned long long)latency_.count(), seconds, double(latency_.count()) / seconds);
    std::printf("\"p50_us\":%.3f,\"p99_us\":%.3f,\"p999_us\":%.3f,\"max_us\":%.3f,",
                latency_.quantile(0.5) / 1e3, latency_.quantile(0.99) / 1e3, latency_.quantile(0.999) / 1e3,
                double(latency_.largest()) / 1e3);
    std::printf("\"connection_min\":%llu,\"connection_max\":%llu,\"errors\":%llu,", (unsigned long long)least,
                (unsigned long long)most, (unsigned long long)errors_);
    std::printf("\"server_cpu_ns\":%.0f,\"server_user_ns\":%.0f,\"server_sys_ns\":%.0f,", spent_.cpu_ns,
                spent_.user_ns(), spent_.cpu_ns - spent_.user_ns());
    std::printf("\"server_cpu_fraction\":%.4f,\"generator_cpu_fraction\":%.4f,\"bottleneck\":\"%s\"}\n",
                server, busy, bottleneck);
  }

  std::uint64_t errors() const { return errors_; }

 private:
  static constexpr std::size_t pattern_period = 251;

  // Each connection sends its own shift of the pattern, so answers that went astray are noticed.
  const char* request_of(std::size_t index) const { return pattern_.data() + index % pattern_period; }

  void open_connection(std::size_t index, int flags) {
    connection& c = connections_[index];
    c.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (c.fd < 0) die("socket");
    int on = 1;
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options_.oneshot) {
      linger reset{.l_onoff = 1, .l_linger = 0};  // no TIME_WAIT: a run must not slow the next one down
      setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(options_.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS)
      die("connect");
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                      .data = {.u32 = std::uint32_t(index)}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &event) != 0) die("epoll_ctl");
  }

  void start_measuring(std::uint64_t now) {
    measuring_ = true;
    started_ = now;
    latency_.clear();
    for (connection& c : connections_) c.answered = 0;
    spent_ = bench::read_process_cost(options_.pid);
    own_spent_ = bench::read_process_cost(getpid());
  }

  void send_due(std::uint64_t now) {
    for (; due_ <= now; due_ = std::uint64_t(double(due_) + 1e9 / options_.open_rate)) {
      begin_request(next_, due_);
      next_ = (next_ + 1) % connections_.size();
    }
  }

  void begin_request(std::size_t index, std::uint64_t start) {
    connection& c = connections_[index];
    if (c.fd < 0 || c.starts.full()) {
      ++errors_;
      return;
    }
    c.starts.push(start);
    c.unsent += options_.bytes;
    if (c.unsent == options_.bytes) write(index);
  }

  void write(std::size_t index) {
    connection& c = connections_[index];
    while (c.unsent != 0) {
      std::size_t rest = c.unsent % options_.bytes == 0 ? options_.bytes : c.unsent % options_.bytes;
      ssize_t sent =
          send(c.fd, request_of(index) + (options_.bytes - rest), rest, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno == EAGAIN) return;
      if (sent < 0) return fail(index);
      c.unsent -= std::size_t(sent);
    }
  }

  void handle(std::size_t index, std::uint32_t events) {
    connection& c = connections_[index];
    if (c.fd < 0) return;
    if (c.unsent != 0 && (events & EPOLLOUT)) write(index);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) read(index, events);
  }

  void read(std::size_t index, std::uint32_t events) {
    connection& c = connections_[index];
    while (c.fd >= 0) {
      std::size_t expected = c.starts.size() * options_.bytes - c.received;
      std::size_t wanted = std::clamp<std::size_t>(expected, 1, incoming_.size());
      int flags = MSG_DONTWAIT | (c.verified && expected != 0 ? MSG_TRUNC : 0);
      ssize_t size = recv(c.fd, incoming_.data(), wanted, flags);
      if (size < 0 && errno == EAGAIN) return;
      if (size == 0 && options_.oneshot && expected == 0) return reopen(index);
      if (size <= 0 || expected == 0) return fail(index);
      if (!c.verified && !verify(index, std::size_t(size))) return fail(index);
      c.received += std::size_t(size);
      if (options_.oneshot) {
        if (c.received == options_.bytes && !(events & (EPOLLRDHUP | EPOLLHUP))) return;
        continue;
      }
      while (c.received >= options_.bytes) answer(index);
      if (std::size_t(size) < wanted || options_.open_rate == 0) return;
    }
  }

  bool verify(std::size_t index, std::size_t size) {
    connection& c = connections_[index];
    std::size_t part = std::min(size, options_.bytes - c.received);
    if (std::memcmp(incoming_.data(), request_of(index) + c.received, part) != 0) return false;
    c.verified = c.received + part == options_.bytes;
    return true;
  }

  void answer(std::size_t index) {
    connection& c = connections_[index];
    c.received -= options_.bytes;
    std::uint64_t now = now_ns();
    latency_.record(now - c.starts.pop());
    ++c.answered;
    if (options_.open_rate == 0) begin_request(index, now);
  }

  // One-shot: the server has closed after its answer, which completes the round.
  void reopen(std::size_t index) {
    connection& c = connections_[index];
    close(c.fd);
    c.received = 0;
    std::uint64_t now = now_ns();
    latency_.record(now - c.starts.pop());
    ++c.answered;
    open_connection(index, SOCK_NONBLOCK);
    begin_request(index, now);
  }

  void fail(std::size_t index) {
    connection& c = connections_[index];
    if (errors_++ == 0)
      std::fprintf(stderr, "drive: connection %zu failed: %s\n", index, std::strerror(errno));
    close(c.fd);
    c.fd = -1;
  }

  drive_options options_;
  std::vector<char> pattern_;
  std::vector<char> incoming_;
  std::vector<connection> connections_;
  int epoll_;
  std::size_t next_ = 0;   // open loop: whose turn it is
  std::uint64_t due_ = 0;  // open loop: when
  std::uint64_t measure_from_ = 0, end_ = 0, started_ = 0, finished_ = 0, idle_ns_ = 0, errors_ = 0;
  bool measuring_ = false;
  bench::histogram latency_;
  bench::process_cost spent_, own_spent_;
};

// Opens connections, lets each send and receive once with --touch, and holds them until standard input ends.
int hold_idle(std::uint16_t port, std::size_t count, bool touch) {
  for (std::size_t i = 0; i < count; ++i) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      die("idle connection");
    char byte[64] = {};
    if (!touch) continue;
    if (send(fd, byte, sizeof byte, MSG_NOSIGNAL) != sizeof byte) die("send");
    if (recv(fd, byte, sizeof byte, MSG_WAITALL) != sizeof byte) die("recv");
  }
  std::printf("{\"idle\":%zu,\"touched\":%s}\n", count, touch ? "true" : "false");
  std::fflush(stdout);
  while (std::getchar() != EOF) {}
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  bench::arguments given(argc, argv);
  drive_options options;
  options.port = std::uint16_t(given.number("--port", 0));
  options.cpu = int(given.number("--cpu", -1));
  options.pid = int(given.number("--pid", 0));
  options.connections = std::size_t(given.number("--connections", 1));
  options.bytes = std::size_t(given.number("--bytes", 64));
  options.seconds = given.number("--seconds", 2);
  options.warmup = given.number("--warmup", 0.3);
  options.open_rate = given.number("--open-rate", 0);
  options.oneshot = given.text("--mode", "echo") == "oneshot";
  options.block = given.flag("--block");
  std::size_t idle = std::size_t(given.number("--idle", 0));
  bool touch = given.flag("--touch");
  given.flag("--hold");
  given.finish(usage);
  if (options.port == 0 || options.connections == 0 || options.bytes == 0 ||
      (options.oneshot && options.open_rate > 0)) {
    std::fprintf(stderr, "usage: drive %s\n", usage);
    return 2;
  }
  bench::raise_file_limit();
  bench::pin_to(options.cpu);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (idle != 0) return hold_idle(options.port, idle, touch);
  load run(options);
  run.connect_all();
  run.run();
  run.print();
  return run.errors() == 0 ? 0 : 1;
}
