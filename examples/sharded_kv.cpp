// sharded_kv: a key-value server on every core, each of which keeps its share of the keys. GET, SET, DEL and PING of Redis'
// protocol, so that its clients drive it. Try it:  redis-cli -p 6380 set hello world   or   redis-benchmark -p 6380 -t set,get -P 16
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <axle/axle.hpp>

#include "server_main.hpp"

using namespace std::chrono_literals;

namespace {

constexpr std::size_t longest_line = 4'096;
constexpr std::size_t most_words = 64;
constexpr std::size_t largest_request = 1'048'576;
constexpr std::size_t answered_at_once = 65'536;  // bytes of answers that are kept before they are sent
constexpr std::size_t most_bytes_a_core = 512 * 1'048'576;  // of keys and values

/// One core's share of the keys.
class store {
 public:
  explicit store(std::size_t most_bytes) : most_bytes_(most_bytes) {}

  std::optional<std::string> get(const std::string& key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? std::nullopt : std::optional(found->second);
  }
  /// False if there is no room.
  bool set(std::string key, std::string value) {
    const auto before = values_.find(key);
    const std::size_t freed = before == values_.end() ? 0 : key.size() + before->second.size();
    const std::size_t bytes = bytes_ - freed + key.size() + value.size();
    if (bytes > most_bytes_) return false;
    values_.insert_or_assign(std::move(key), std::move(value));
    bytes_ = bytes;
    return true;
  }
  bool erase(const std::string& key) {
    const auto found = values_.find(key);
    if (found == values_.end()) return false;
    bytes_ -= key.size() + found->second.size();
    values_.erase(found);
    return true;
  }

 private:
  std::unordered_map<std::string, std::string> values_;
  std::size_t bytes_ = 0;
  std::size_t most_bytes_;
};
using stores = axle::sharded<store>;

unsigned owner_of(std::string_view key) {
  return static_cast<unsigned>(std::hash<std::string_view>()(key) % axle::core_count());
}

// ---- the protocol: a line of words, or an array of strings that say how long they are -----------------------------------

struct request {
  enum class state { incomplete, complete, wrong };
  state is = state::incomplete;
  std::vector<std::string_view> words = {};
  std::size_t bytes = 0;  // of the input
  const char* problem = nullptr;
};
request wrong(const char* problem) { return {.is = request::state::wrong, .problem = problem}; }

/// Takes a line from the front of the input, if there is a whole one.
std::optional<std::string_view> take_line(std::string_view& input) {
  const std::size_t end = input.substr(0, longest_line).find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view line = input.substr(0, end);
  input.remove_prefix(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}
request no_line(std::string_view input) {
  return input.size() < longest_line ? request{} : wrong("too long a line");
}

request parse(std::string_view input) {
  const std::size_t whole = input.size();
  request got{.is = request::state::complete};
  const auto first = take_line(input);
  if (!first) return no_line(input);
  if (!first->starts_with('*')) {
    for (std::string_view rest = *first; !rest.empty();) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      if (end > 0) got.words.push_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (got.words.size() > most_words) return wrong("too many words");
  } else {
    std::size_t count = 0;
    if (!parse_number(first->substr(1), count) || count > most_words)
      return wrong("invalid multibulk length");
    for (; count; --count) {
      const auto header = take_line(input);
      if (!header) return no_line(input);
      std::size_t length = 0;
      if (!header->starts_with('$')) return wrong("expected '$'");
      if (!parse_number(header->substr(1), length) || length > largest_request)
        return wrong("invalid bulk length");
      if (input.size() < length + 2) return {};
      if (input.substr(length, 2) != "\r\n") return wrong("a string is not as long as it says");
      got.words.push_back(input.substr(0, length));
      input.remove_prefix(length + 2);
    }
  }
  got.bytes = whole - input.size();
  return got;
}

bool is_command(std::string_view word, std::string_view name) {
  const auto same = [](char a, char b) { return (a >= 'a' && a <= 'z' ? a - 'a' + 'A' : a) == b; };
  return std::equal(word.begin(), word.end(), name.begin(), name.end(), same);
}

void append_string(std::string& out, std::string_view text) {
  out += "$" + std::to_string(text.size()) + "\r\n";
  out += text;
  out += "\r\n";
}

// ---- the server ---------------------------------------------------------------------------------------------------------

/// Appends the answer to one request. `words` stay where they are until then.
axle::task<> answer(stores& all, const std::vector<std::string_view>& words, std::string& out) {
  const std::string_view name = words[0];
  const std::size_t count = words.size();
  if (is_command(name, "GET") && count == 2) {
    const auto value = co_await all.invoke_on(owner_of(words[1]), &store::get, std::string(words[1]));
    if (value) {
      append_string(out, *value);
    } else {
      out += "$-1\r\n";
    }
  } else if (is_command(name, "SET") && count == 3) {
    const bool had_room =
        co_await all.invoke_on(owner_of(words[1]), &store::set, std::string(words[1]), std::string(words[2]));
    out += had_room ? "+OK\r\n" : "-OOM no room for this on its core\r\n";
  } else if (is_command(name, "DEL") && count >= 2) {
    unsigned erased = 0;
    for (std::size_t i = 1; i < count; ++i)
      erased += co_await all.invoke_on(owner_of(words[i]), &store::erase, std::string(words[i]));
    out += ":" + std::to_string(erased) + "\r\n";
  } else if (is_command(name, "PING") && count <= 2) {
    if (count == 1) {
      out += "+PONG\r\n";
    } else {
      append_string(out, words[1]);
    }
  } else {
    out += "-ERR this server knows GET key, SET key value, DEL key... and PING [text]\r\n";
  }
}

/// One connection: answers its requests in order, as many at once as have arrived.
axle::task<> converse(axle::io::tcp_stream peer, stores& all) {
  std::string input, out;
  peer.set_timeouts(10min, 10s);
  while (auto data = co_await peer.recv()) {
    if (data->empty()) co_return;
    input += data->text();
    data = axle::io::buffer();  // other connections may want it while this one waits for a core
    std::string_view rest = input;
    request next = parse(rest);
    for (; next.is == request::state::complete; next = parse(rest)) {
      if (!next.words.empty()) co_await answer(all, next.words, out);
      rest.remove_prefix(next.bytes);
      if (out.size() < answered_at_once) continue;
      if (!co_await peer.write_all(out)) co_return;
      out.clear();
    }
    if (next.is == request::state::incomplete && rest.size() > largest_request)
      next = wrong("too large a request");
    if (next.is == request::state::wrong) out += std::string("-ERR Protocol error: ") + next.problem + "\r\n";
    if (!out.empty() && !co_await peer.write_all(out)) co_return;
    if (next.is == request::state::wrong) co_return;
    out.clear();
    input.erase(0, input.size() - rest.size());
  }
}

/// One core's server. Every core listens on the same port; the kernel spreads the connections, whatever keys they ask for.
axle::task<> serve(shared_port& port, stores& all) {
  auto listener = listen_on(port);
  const auto handler = [&all](axle::io::tcp_stream peer) { return converse(std::move(peer), all); };
  co_await listener.serve(handler, {.max_connections = 10'000, .drain = 1s});
}

axle::task<> start_and_serve(std::uint16_t port, stores& all) {
  co_await all.start(most_bytes_a_core);
  const auto serve_here = [&all](shared_port& shared) { return serve(shared, all); };
  co_await serve_on_every_core(port, serve_here);
}
axle::task<int> serve_until_stopped(std::uint16_t port) {
  stores all;
  const auto stop = [&all] { return all.stop(); };
  co_await axle::finally(start_and_serve(port, all), stop);
  co_return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_server_main(
      {.name = "sharded_kv",
       .about = "Keys and values in memory, shared out among all cores; speaks Redis' protocol.",
       .port = 6380},
      argc, argv, serve_until_stopped);
}
