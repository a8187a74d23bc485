// request_parser over http-parser or, with AXLE_HTTP_LLHTTP, llhttp. The two differ in names, and in how a parser is
// paused; the first section hides that. Both are built by their packagers as they please (Debian's http-parser is not
// strict: it takes bare line feeds, blanks before the colon, any bytes after a chunk), so nothing here relies on it.
#include <algorithm>
#include <new>
#include <type_traits>

#include "request_parser.hpp"
#include "text.hpp"

#if defined(AXLE_HTTP_LLHTTP)
#include <llhttp.h>
#else
#include <http_parser.h>
#endif

namespace axle::io::http {

// ---- the library ----------------------------------------------------------------------------------------------------

namespace {

constexpr std::size_t version_bytes = 9;  // " HTTP/1.1"

struct progress {
  std::size_t used;
  bool failed;
  bool bad_version;
  bool head_too_large;
};

#if defined(AXLE_HTTP_LLHTTP)

using engine = llhttp_t;
using engine_events = llhttp_settings_t;

void start(engine& it, const engine_events& told) noexcept { llhttp_init(&it, HTTP_REQUEST, &told); }
int pause(engine&) noexcept { return HPE_PAUSED; }
bool wants_to_stay(const engine& it) noexcept { return llhttp_should_keep_alive(&it) != 0; }
progress run(engine& it, const engine_events&, std::string_view data) noexcept {
  const llhttp_errno_t why = llhttp_execute(&it, data.data(), data.size());
  if (why == HPE_OK) return {data.size(), false, false, false};
  const auto used = static_cast<std::size_t>(llhttp_get_error_pos(&it) - data.data());
  return {used, why != HPE_PAUSED, why == HPE_INVALID_VERSION, false};
}

#else

using engine = http_parser;
using engine_events = http_parser_settings;

void start(engine& it, const engine_events&) noexcept { http_parser_init(&it, HTTP_REQUEST); }
int pause(engine& it) noexcept {
  http_parser_pause(&it, 1);
  return 0;
}
bool wants_to_stay(const engine& it) noexcept { return http_should_keep_alive(&it) != 0; }
progress run(engine& it, const engine_events& told, std::string_view data) noexcept {
  const std::size_t used = http_parser_execute(&it, &told, data.data(), data.size());
  const http_errno why = HTTP_PARSER_ERRNO(&it);
  return {used, why != HPE_OK && why != HPE_PAUSED, why == HPE_INVALID_VERSION, why == HPE_HEADER_OVERFLOW};
}

#endif

bool is_number(std::string_view text) noexcept {
  bool good = !text.empty();
  for (const char c : text) good &= c >= '0' && c <= '9';
  return good;
}

}  // namespace

// What the library tells, as offsets into the request's bytes. A part that was split between two calls of parse() comes
// in pieces that follow each other. A result that is not 0 stops the library.
struct request_parser::events {
  static engine& of(request_parser& self) noexcept {
    return *std::launder(reinterpret_cast<engine*>(self.library_));
  }
  static request_parser& self(engine* it) noexcept { return *static_cast<request_parser*>(it->data); }

  static int on_url(engine* it, const char* at, std::size_t size) noexcept {
    request_parser& mine = self(it);
    if (mine.target_.size == 0) mine.target_.at = static_cast<std::size_t>(at - mine.base_);
    mine.target_.size += size;
    return 0;
  }

  static int on_header_field(engine* it, const char* at, std::size_t size) noexcept {
    request_parser& mine = self(it);
    if (mine.in_body()) return 0;  // a trailer: dropped
    try {
      if (mine.in_value_) {
        if (mine.fields_.size() >= mine.limits_.max_headers) return mine.refuse(431), 1;
        mine.fields_.push_back({{static_cast<std::size_t>(at - mine.base_), 0}, {}});
        mine.in_value_ = false;
      }
      mine.fields_.back().name.size += size;
      return 0;
    } catch (const std::bad_alloc&) {
      return mine.refuse(503), 1;
    }
  }

  static int on_header_value(engine* it, const char* at, std::size_t size) noexcept {
    request_parser& mine = self(it);
    if (mine.in_body()) return 0;
    span& value = mine.fields_.back().value;
    if (!mine.in_value_) value.at = static_cast<std::size_t>(at - mine.base_);
    mine.in_value_ = true;
    value.size += size;
    return 0;
  }

  static int on_headers_complete(engine* it) noexcept {
    request_parser& mine = self(it);
    it->upgrade = 0;  // not offered here: the request is answered as if it had not asked
    mine.current_.keep_alive = wants_to_stay(*it);
    return mine.check_head(it->http_major, it->http_minor, it->content_length) ? 0 : -1;
  }

  static int on_chunk_header(engine* it) noexcept {
    request_parser& mine = self(it);
    if (it->content_length > mine.limits_.max_body_bytes - mine.chunks_.size()) return mine.refuse(413), 1;
    return 0;
  }

  static int on_body(engine* it, const char* at, std::size_t size) noexcept {
    request_parser& mine = self(it);
    const auto offset = static_cast<std::size_t>(at - mine.base_);
    if (!mine.chunked_) {
      if (mine.body_.size == 0) mine.body_.at = offset;
      mine.body_.size += size;
      return 0;
    }
    if (!mine.check_framing(offset)) return 1;
    if (!mine.framing_.in_data()) return mine.refuse(400), 1;
    mine.framed_ = offset + size;
    try {
      mine.chunks_.append(at, size);
      return 0;
    } catch (const std::bad_alloc&) {
      return mine.refuse(503), 1;
    }
  }

  static int on_message_complete(engine* it) noexcept {
    self(it).complete_ = true;
    return pause(*it);
  }

  static const engine_events all;
};

const engine_events request_parser::events::all = [] {
  engine_events told = {};
  told.on_url = on_url;
  told.on_header_field = on_header_field;
  told.on_header_value = on_header_value;
  told.on_headers_complete = on_headers_complete;
  told.on_chunk_header = on_chunk_header;
  told.on_body = on_body;
  told.on_message_complete = on_message_complete;
  return told;
}();

// ---- one request, step by step --------------------------------------------------------------------------------------

request_parser::request_parser(const options& limits) noexcept
    : limits_(limits), framing_(limits.max_header_bytes) {
  static_assert(sizeof(engine) <= sizeof library_ && alignof(engine) <= 8 && std::is_trivial_v<engine>);
  engine* it = ::new (static_cast<void*>(library_)) engine;
  start(*it, events::all);
  it->data = this;
}

void request_parser::next() noexcept {
  seen_ = start_ = head_end_ = framed_ = 0;
  target_ = body_ = {};
  in_value_ = true;
  expects_ = complete_ = false;
  fields_.clear();
  if (chunked_) {
    chunked_ = false;
    framing_ = chunk_framing(limits_.max_header_bytes);
    chunks_.clear();
    if (chunks_.capacity() > 16 * 1024) chunks_.shrink_to_fit();
  }
  engine& it = events::of(*this);
  start(it, events::all);
  it.data = this;
}

request_parser::outcome request_parser::parse(std::string_view data) noexcept {
  base_ = data.data();
  size_ = data.size();
  if (status_) return outcome::refused;
  if (idle() && !skip_empty_line()) return status_ ? outcome::refused : outcome::partial;

  const progress went = run(events::of(*this), events::all, data.substr(seen_));
  seen_ += went.used;
  if (status_) return outcome::refused;
  if (went.failed) {
    const std::string_view after = data.substr(target_.end());
    const bool other_version = went.bad_version && after.starts_with(" HTTP/") &&
                               is_number(after.substr(6, 1)) && !after.starts_with(" HTTP/1.0") &&
                               !after.starts_with(" HTTP/1.1");
    refuse(went.head_too_large ? 431 : other_version ? 505 : 400);
    return outcome::refused;
  }
  if (chunked_ && !check_framing(seen_)) return outcome::refused;
  if (complete_) return present() ? outcome::complete : outcome::refused;
  if (chunked_) seen_ = framed_ = head_end_;
  if (!in_body() && !check_unfinished_head()) return outcome::refused;
  return outcome::partial;
}

bool request_parser::refuse(unsigned status) noexcept {
  if (!status_) status_ = status;
  return false;
}

// One empty line before a request is excused (RFC 9112, 2.2); the libraries would excuse any number. False: nothing else
// is there.
bool request_parser::skip_empty_line() noexcept {
  const std::string_view data(base_, size_);
  if (start_ == 0 && data.starts_with("\r\n")) seen_ = start_ = 2;
  if (data.size() <= start_ || (start_ == 0 && data == "\r")) return false;
  if (data[start_] == '\r' || data[start_] == '\n') return refuse(400);
  return true;
}

// The views of a complete request. The bytes may have moved since its head was checked.
bool request_parser::present() noexcept {
  try {
    headers_.resize(fields_.size());
  } catch (const std::bad_alloc&) {
    return refuse(503);
  }
  for (std::size_t i = 0; i < fields_.size(); ++i)
    headers_[i] = {part(fields_[i].name), trimmed(part(fields_[i].value))};
  current_.method = {base_ + start_, target_.at - 1 - start_};
  current_.target = part(target_);
  current_.headers = headers_;
  current_.body = chunked_ ? std::string_view(chunks_) : part(body_);
  return true;
}

// ---- what is refused ------------------------------------------------------------------------------------------------

// Called at the end of a head, however it ended in the library's eyes.
bool request_parser::check_head(unsigned major, unsigned minor, std::uint64_t length) noexcept {
  if (major != 1 || minor > 1) return refuse(505);
  if (target_.end() + version_bytes - start_ > limits_.max_line_bytes) return refuse(414);
  const std::size_t end = check_lines(minor);
  if (end == 0) return refuse(400);
  if (end - start_ > limits_.max_header_bytes) return refuse(431);
  for (const field& each : fields_) {
    const std::size_t line = each.value.size ? each.value.end() - each.name.at : each.name.size + 1;
    if (line > limits_.max_line_bytes) return refuse(431);
  }
  if (!check_meaning(minor, length)) return false;
  current_.version_minor = minor;
  head_end_ = framed_ = end;
  return true;
}

namespace {

/// Goes through text piece by piece; once a piece is not there, none is.
class reader {
 public:
  reader(std::string_view text, std::size_t at) noexcept : text_(text), at_(at) {}
  void take(std::string_view piece) noexcept {
    good_ = good_ && text_.substr(at_).starts_with(piece);
    at_ += good_ ? piece.size() : 0;
  }
  void take_blanks() noexcept {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  }
  /// Where the library says that the next part is, there it must be.
  void be_at(std::size_t place) noexcept { good_ = good_ && at_ == place; }
  void skip(std::size_t bytes) noexcept { at_ += bytes; }
  std::size_t end() const noexcept { return good_ ? at_ : 0; }

 private:
  std::string_view text_;
  std::size_t at_;
  bool good_ = true;
};

bool is_target(std::string_view text) noexcept {
  bool good = true;
  for (const char c : text) good &= c > 0x20 && c < 0x7f;
  return good;
}

}  // namespace

// Everything between the parts that the library found must be exactly what belongs there: single blanks in the request
// line, a colon right behind a name, CR LF at every end. So neither a bare line feed, a folded line, nor a blank before a
// colon can mean one thing here and another elsewhere. The end of the head; 0: it is not like that.
std::size_t request_parser::check_lines(unsigned minor) const noexcept {
  reader head({base_, size_}, start_);
  const std::size_t blank = target_.at ? target_.at - 1 : 0;
  if (blank <= start_ || !is_token(std::string_view(base_ + start_, blank - start_))) return 0;
  if (!is_target(part(target_))) return 0;
  head.skip(blank - start_);
  head.take(" ");
  head.skip(target_.size);
  head.take(minor ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
  for (const field& each : fields_) {
    if (!is_token(part(each.name)) || !is_field_text(part(each.value))) return 0;
    head.be_at(each.name.at);
    head.skip(each.name.size);
    head.take(":");
    head.take_blanks();
    if (each.value.size) head.be_at(each.value.at);
    head.skip(each.value.size);
    head.take_blanks();
    head.take("\r\n");
  }
  head.take("\r\n");
  return head.end();
}

// The headers that say how long a request is, and who it is for.
bool request_parser::check_meaning(unsigned minor, std::uint64_t length) noexcept {
  unsigned hosts = 0, lengths = 0, chunked = 0;
  bool coded = false, unknown_coding = false, expects_other = false;
  for (const field& each : fields_) {
    const std::string_view name = part(each.name);
    const std::string_view value = trimmed(part(each.value));
    switch (name.size()) {
      case 4:
        hosts += same_name(name, "host");
        break;
      case 6:
        if (!same_name(name, "expect")) break;
        expects_ = same_name(value, "100-continue");
        expects_other = !expects_;
        break;
      case 14:
        if (!same_name(name, "content-length")) break;
        ++lengths;
        if (!is_number(value)) return refuse(400);
        break;
      case 17:
        if (!same_name(name, "transfer-encoding")) break;
        coded = true;
        for (std::string_view rest = value; !rest.empty();) {
          const std::size_t comma = std::min(rest.find(','), rest.size());
          const bool known = same_name(trimmed(rest.substr(0, comma)), "chunked");
          chunked += known;
          unknown_coding |= !known;
          rest.remove_prefix(std::min(comma + 1, rest.size()));
        }
        break;
      default:
        break;
    }
  }
  if (hosts > 1 || (hosts == 0 && minor == 1)) return refuse(400);
  if (lengths > 1 || (lengths && coded) || (coded && minor == 0)) return refuse(400);
  if (unknown_coding) return refuse(501);
  if (coded && chunked != 1) return refuse(400);
  if (lengths && length > limits_.max_body_bytes) return refuse(413);
  if (expects_other && minor == 1) return refuse(417);
  expects_ = expects_ && minor == 1 && (coded || (lengths && length));
  chunked_ = coded;
  return true;
}

// A head that goes on for ever is not waited for. A line within its limit may be followed by the ends of two.
bool request_parser::check_unfinished_head() noexcept {
  const std::size_t most = limits_.max_line_bytes + 4;
  if (fields_.empty()) return size_ - start_ <= most || refuse(414);
  if (size_ - fields_.back().name.at > most) return refuse(431);
  return size_ - start_ <= limits_.max_header_bytes || refuse(431);
}

// `framed_` to `until` stands between two pieces of a chunked body.
bool request_parser::check_framing(std::size_t until) noexcept {
  const bool good = framing_.feed({base_ + framed_, until - framed_});
  framed_ = until;
  return (good && (!complete_ || framing_.over())) || refuse(400);
}

bool chunk_framing::feed(std::string_view between) noexcept {
  for (const char c : between) at_ = step(c);
  return at_ != place::bad && extra_ <= extra_most_;
}

chunk_framing::place chunk_framing::step(char c) noexcept {
  const auto need = [c](char wanted, place then) { return c == wanted ? then : place::bad; };
  switch (at_) {
    case place::size:
      if (c != '\r' && c != ';') {  // a digit: what else it could be, the library has refused
        nonzero_ |= c != '0';
        return ++digits_ <= 16 && is_token(c) ? place::size : place::bad;
      }
      if (digits_ == 0) return place::bad;
      digits_ = 0;
      return c == ';' ? place::extension : place::size_lf;
    case place::extension:
      ++extra_;
      return c == '\r' ? place::size_lf : is_field_text(c) ? place::extension : place::bad;
    case place::size_lf:
      return need('\n', std::exchange(nonzero_, false) ? place::data_cr : place::line);
    case place::data_cr:
      return need('\r', place::data_lf);
    case place::data_lf:
      return need('\n', place::size);
    case place::line:
      if (c == '\r') return place::last_lf;
      [[fallthrough]];
    case place::name:
      ++extra_;
      return c == ':' && at_ == place::name ? place::value : is_token(c) ? place::name : place::bad;
    case place::value:
      ++extra_;
      return c == '\r' ? place::line_lf : is_field_text(c) ? place::value : place::bad;
    case place::line_lf:
      return need('\n', place::line);
    case place::last_lf:
      return need('\n', place::over);
    case place::over:
    case place::bad:
      break;
  }
  return place::bad;
}

}  // namespace axle::io::http
