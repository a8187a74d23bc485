// The table of all options. Names, variables, help, checks and changes come from it: a further option is a field of run_options
// and one row here. Read at start-up by the thread in run(); each core's values afterwards by that core alone.
#include <axle/options.hpp>

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <variant>

#include <axle/cores.hpp>

#include "engine.hpp"
#include "option_table.hpp"
#include "option_value.hpp"

namespace axle {

namespace detail {

namespace {

using std::chrono::nanoseconds;

struct bytes {
  unsigned run_options::* at;
};
using option_field = std::variant<bool run_options::*, unsigned run_options::*, std::uint64_t run_options::*,
                                  nanoseconds run_options::*, bytes, std::string_view run_options::*,
                                  core_choice run_options::*, poll_mode run_options::*>;

struct option_row {
  std::string_view name;
  option_field at;
  std::uint64_t smallest = 0;  // of numbers, bytes and nanoseconds
  std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();
  bool may_change = false;     // while running: engine::set_options hands it to the loop
  bool program_first = false;  // named by the program it stays, whatever the file and the environment say
  std::string_view about;
};

constexpr std::uint64_t us = 1'000, s = 1'000'000'000;
constexpr std::uint64_t longest = std::numeric_limits<std::int64_t>::max();

// clang-format off
constexpr option_row table[] = {
  {.name = "cores", .at = &run_options::cores,
   .about = "which processors get a loop; empty: one loop, not pinned"},
  {.name = "driver", .at = &run_options::driver, .program_first = true,
   .about = "uring, epoll or sim; empty: the best that works"},
  {.name = "handle_signals", .at = &run_options::handle_signals,
   .about = "SIGINT and SIGTERM end the program gracefully"},
  {.name = "drain", .at = &run_options::drain, .largest = longest, .may_change = true,
   .about = "how long tasks may take to end when all are cancelled, until shields are pierced"},
  {.name = "tasks_per_turn", .at = &run_options::tasks_per_turn, .smallest = 1, .largest = 1'000'000, .may_change = true,
   .about = "ready tasks run before the turn goes on to timers and I/O"},
  {.name = "run_budget", .at = &run_options::run_budget, .smallest = us, .largest = 10 * s, .may_change = true,
   .about = "the same, as time"},
  {.name = "poll", .at = &run_options::poll, .may_change = true,
   .about = "what an idle loop does: spin while that pays, spin, sleep"},
  {.name = "spin_limit", .at = &run_options::spin_limit, .largest = longest, .may_change = true,
   .about = "adaptive: no spin is longer"},
  {.name = "ring_entries", .at = &run_options::ring_entries, .smallest = 1, .largest = 32'768,
   .about = "of io_uring's submission queue"},
  {.name = "buffers", .at = &run_options::buffers, .smallest = 1, .largest = 32'768,
   .about = "receive buffers of each core"},
  {.name = "buffer_bytes", .at = bytes{&run_options::buffer_bytes}, .smallest = 64, .largest = 16 << 20,
   .about = "size of a receive buffer"},
  {.name = "seed", .at = &run_options::seed,
   .about = "of the sim driver"},
  {.name = "debug", .at = &run_options::debug,
   .about = "warn of slow callbacks, forgotten awaits and deadlocks"},
  {.name = "slow_callback", .at = &run_options::slow_callback, .smallest = us, .largest = longest, .may_change = true,
   .about = "how long a task may hold its loop up before debug warns"},
};
// clang-format on

// Variables that are no options, or belong to others: a test suite, tools/dev.
constexpr std::string_view prefix = "AXLE_";
constexpr const char* config = "AXLE_CONFIG";
constexpr std::string_view not_ours[] = {"AXLE_TEST_", "AXLE_DEV_"};

std::size_t index_of(const option_row& row) { return static_cast<std::size_t>(&row - table); }

std::string variable_of(const option_row& row) {
  std::string name(prefix);
  for (const char c : row.name) name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

std::string text_of(const option_row& row, const run_options& of) {
  return std::visit(
      [&](auto at) {
        if constexpr (std::is_same_v<decltype(at), bytes>)
          return write_size(of.*at.at);
        else
          return write_value(of.*at);
      },
      row.at);
}

const std::string& preset_of(const option_row& row) {
  static const auto presets = [] {
    std::vector<std::string> texts;
    for (const option_row& each : table) texts.push_back(text_of(each, run_options{}));
    return texts;
  }();
  return presets[index_of(row)];
}

template <class T>
constexpr bool is_measured =
    std::is_same_v<T, nanoseconds> || (std::is_unsigned_v<T> && !std::is_same_v<T, bool>);

// "a duration such as ..., from 1us to 10s"
std::string wanted(const option_row& row) {
  const bool ends = row.largest != std::numeric_limits<std::uint64_t>::max() && row.largest != longest;
  const auto range = [&](auto write) {
    std::string text;
    if (row.smallest > 0 || ends) text += ", from " + write(row.smallest);
    if (ends) text += " to " + write(row.largest);
    return text;
  };
  return std::visit(
      [&](auto at) -> std::string {
        if constexpr (std::is_same_v<decltype(at), bytes>) {
          return "a size such as 16384 or \"16KiB\"" + range([](std::uint64_t n) { return write_size(n); });
        } else {
          using value = std::remove_cvref_t<decltype(std::declval<run_options&>().*at)>;
          std::string text(looks_like(value()));
          if constexpr (std::is_same_v<value, nanoseconds>)
            text += range([](std::uint64_t n) { return write_value(nanoseconds(n)); });
          else if constexpr (is_measured<value>)
            text += range([](std::uint64_t n) { return write_value(n); });
          return text;
        }
      },
      row.at);
}

bool in_range(const option_row& row, const run_options& of) {
  const auto fits = [&](std::uint64_t n) { return n >= row.smallest && n <= row.largest; };
  return std::visit(
      [&](auto at) {
        if constexpr (std::is_same_v<decltype(at), bytes>) {
          return fits(of.*at.at);
        } else {
          using value = std::remove_cvref_t<decltype(of.*at)>;
          if constexpr (std::is_same_v<value, nanoseconds>)
            return fits(static_cast<std::uint64_t>((of.*at).count()));  // what is negative is too large
          else if constexpr (is_measured<value>)
            return fits(of.*at);
          else
            return true;
        }
      },
      row.at);
}

// Empty, or why not.
std::string set(const option_row& row, run_options& in, std::string_view text) {
  run_options changed = in;
  const bool read = std::visit(
      [&](auto at) {
        if constexpr (std::is_same_v<decltype(at), bytes>) {
          std::uint64_t size = 0;
          if (!read_size(text, size) || size > std::numeric_limits<unsigned>::max()) return false;
          changed.*at.at = static_cast<unsigned>(size);
          return true;
        } else {
          return read_value(text, changed.*at);
        }
      },
      row.at);
  if (!read || !in_range(row, changed)) return quoted(text) + " is not " + wanted(row);
  in = changed;
  return {};
}

const option_row* find_row(std::string_view name) {
  for (const option_row& each : table)
    if (each.name == name) return &each;
  return nullptr;
}

// How many letters are wrong, missing, or too many.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j)
      diagonal =
          std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])}));
  }
  return row.back();
}

// "did you mean x?", or all that there are.
std::string suggestion(std::string_view name, const std::vector<std::string>& known) {
  const auto nearest = std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
    return distance(name, a) < distance(name, b);
  });
  if (distance(name, *nearest) <= std::max<std::size_t>(2, name.size() / 4))
    return "did you mean " + *nearest + "?";
  std::string text = "there are ";
  for (const std::string& each : known) text += (&each == known.data() ? "" : ", ") + each;
  return text;
}

std::string unknown_option(std::string_view name) {
  std::vector<std::string> known;
  for (const option_row& each : table) known.emplace_back(each.name);
  return "no option is named " + quoted(name) + "; " + suggestion(name, known);
}

void put(option_values& values, const option_row& row, std::string_view text, option_origin from,
         const std::string& context) {
  option_origin& before = values.from[index_of(row)];
  if (row.program_first && before.source == option_source::program) return;
  if (const std::string why = set(row, values.now, text); !why.empty())
    throw std::invalid_argument(context + why);
  before = std::move(from);
}

void read_file(option_values& values, const std::string& path) {
  for (const file_option& each : read_option_file(path)) {
    const std::string where = path + ':' + std::to_string(each.line);
    const option_row* row = find_row(each.key);
    if (!row) throw std::invalid_argument(where + ": " + unknown_option(each.key));
    const std::string context = where + ": " + each.key + " = ";
    if (!each.wrong_type.empty())
      throw std::invalid_argument(context + std::string(each.wrong_type) + ", not " + wanted(*row));
    put(values, *row, each.value, {option_source::file, where}, context);
  }
}

// A misspelt variable would be an option that silently does nothing.
void refuse_unknown_variables() {
  for (char** each = environ; each && *each; ++each) {
    const std::string_view entry = *each;
    const std::string_view name = entry.substr(0, entry.find('='));
    if (!name.starts_with(prefix) || name == config) continue;
    if (std::any_of(std::begin(not_ours), std::end(not_ours),
                    [&](auto other) { return name.starts_with(other); }))
      continue;
    std::vector<std::string> known;
    for (const option_row& row : table) known.push_back(variable_of(row));
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    known.emplace_back(config);
    throw std::invalid_argument("environment: no option is named " + std::string(name) + "; " +
                                suggestion(name, known));
  }
}

void read_environment(option_values& values) {
  refuse_unknown_variables();
  if (const char* path = getenv(config); path && *path) {
    try {
      read_file(values, path);
    } catch (const std::system_error& error) {
      throw std::system_error(error.code(), std::string(config) + " = " + quoted(path) + ": cannot be read");
    }
  }
  for (const option_row& row : table) {
    const std::string variable = variable_of(row);
    const char* text = getenv(variable.c_str());
    if (text && *text) put(values, row, text, {option_source::environment, variable}, variable + ": ");
  }
}

}  // namespace

option_values settle_options(const run_options& given) {
  option_values values{.now = given, .from = std::vector<option_origin>(std::size(table))};
  for (const option_row& row : table) {
    if (text_of(row, given) != preset_of(row)) values.from[index_of(row)].source = option_source::program;
    if (!in_range(row, given))
      throw std::invalid_argument("run_options::" + std::string(row.name) + ": " +
                                  quoted(text_of(row, given)) + " is not " + wanted(row));
  }
  if (given.ask_environment) read_environment(values);
  return values;
}

std::string origin_of(const option_values& values, std::string_view name) {
  const std::string& where = values.from[index_of(*find_row(name))].where;
  return where.empty() ? where : where + ": ";
}

}  // namespace detail

run_options load_options(const std::string& path, run_options base) {
  detail::option_values values{.now = base,
                               .from = std::vector<detail::option_origin>(std::size(detail::table))};
  detail::read_file(values, path);
  return values.now;
}

run_options options_from_environment(run_options base) { return detail::settle_options(base).now; }

std::string options_help() {
  std::string text;
  for (const detail::option_row& row : detail::table) {
    const std::string& preset = detail::preset_of(row);
    text += std::string(row.name) + ", " + detail::variable_of(row) + ": " + std::string(row.about) +
            "\n    " + detail::wanted(row) + "; default " + (preset.empty() ? "empty" : preset) +
            (row.may_change ? "; may change while running\n" : "\n");
  }
  return text + std::string(detail::config) + ": a TOML file of options\n";
}

option_list current_options() {
  detail::need_loop("current_options");
  const detail::option_values& mine = detail::current_engine()->options_of(this_core());
  option_list all;
  for (const detail::option_row& row : detail::table) {
    const detail::option_origin& from = mine.from[detail::index_of(row)];
    all.push_back({.name = row.name,
                   .value = detail::text_of(row, mine.now),
                   .preset = detail::preset_of(row),
                   .source = from.source,
                   .where = from.where,
                   .may_change = row.may_change,
                   .about = row.about});
  }
  return all;
}

std::string to_string(const option_list& options) {
  std::string text;
  for (const option_state& each : options) {
    text += std::string(each.name) + " = " + detail::quoted(each.value);
    if (each.source == option_source::program) text += " (the program";
    if (each.source == option_source::change) text += " (changed while running";
    if (!each.where.empty()) text += " (" + each.where;
    if (each.source != option_source::preset) text += "; default " + detail::quoted(each.preset) + ")";
    text += '\n';
  }
  return text;
}

option_change change_option(std::string_view name, std::string_view value) {
  detail::need_loop("change_option");
  const detail::option_row* row = detail::find_row(name);
  if (!row) return {detail::unknown_option(name)};
  if (!row->may_change) {
    std::string may;
    for (const detail::option_row& each : detail::table)
      if (each.may_change) may += (may.empty() ? "" : ", ") + std::string(each.name);
    return {std::string(name) + " stands for as long as the run; what may change is " + may};
  }
  detail::option_values changed = detail::current_engine()->options_of(this_core());
  if (const std::string why = detail::set(*row, changed.now, value); !why.empty())
    return {std::string(name) + ": " + why};
  changed.from[detail::index_of(*row)] = {option_source::change, {}};
  detail::current_engine()->set_options(this_core(), std::move(changed));
  return {};
}

task<option_change> change_option_everywhere(std::string name, std::string value) {
  // Here first: what is refused here would be refused everywhere.
  option_change became = change_option(name, value);
  const unsigned home = this_core();
  for (unsigned core = 0; became && core < core_count(); ++core)
    if (core != home)
      became = co_await on(core, change_option, std::string_view(name), std::string_view(value));
  co_return became;
}

}  // namespace axle
