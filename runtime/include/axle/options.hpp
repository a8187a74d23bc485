// options: the options of a run by name, from the environment and from a TOML file; asked for and changed while it runs.
//
// Every option is a field of run_options, a key of the file (`run_budget = "500us"`) and a variable of the environment
// (AXLE_RUN_BUDGET=500us). run() itself reads both. What comes later here wins over what comes before:
//   1. the default
//   2. what the program put into run_options
//   3. the file that AXLE_CONFIG names
//   4. the environment
// For who runs a program knows more of the machine than who wrote it. One exception: a driver that the program names stays,
// because that program, most often a test, would be another one without it. A program whose command line is to win over all
// asks first and then says so: options_from_environment(), its own changes, and ask_environment = false.
// Durations are written "500us", "10s", "1.5ms"; sizes 16384 or "16KiB"; booleans true, false, 1, 0. An empty variable
// is none. Unknown names that begin with AXLE_ are refused, except AXLE_TEST_... and AXLE_DEV_...
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <axle/run.hpp>
#include <axle/task.hpp>

namespace axle {

/// Reads a TOML file; what it does not say stays as in `base`. Throws std::system_error if it cannot be read, and
/// std::invalid_argument that names the file, the line and the key, and says what would be right. Texts live for ever.
AXLE_EXPORT run_options load_options(const std::string& path, run_options base = {});
/// What run(base) goes by on this machine, now. Throws what load_options does.
AXLE_EXPORT run_options options_from_environment(run_options base = {});
/// For --help: every option with its variable, what it takes, its default, and what it is for.
AXLE_EXPORT std::string options_help();

/// Where a value came from.
enum class option_source : std::uint8_t { preset, program, file, environment, change };

/// One option of a run, as a core has it.
struct option_state {
  std::string_view name;
  std::string value;   ///< as it would be written in the file
  std::string preset;  ///< what it is by default
  option_source source;
  std::string where;  ///< "AXLE_RUN_BUDGET", "server.toml:3"; for the other sources empty
  bool may_change;    ///< while running
  std::string_view about;
};
using option_list = std::vector<option_state>;

/// All options of the calling core, which go by its changes. Inside a loop.
AXLE_EXPORT option_list current_options();
/// The same as lines of text.
AXLE_EXPORT std::string to_string(const option_list& options);

/// What became of a change: nothing to say, or why it was refused.
struct [[nodiscard("a refused change is told of here only")]] option_change {
  std::string refused;
  explicit operator bool() const noexcept { return refused.empty(); }
};

/// Changes an option of the calling core, from its next turn on. Refused, by name and with what would be right: an unknown
/// name, a bad value, an option that stands for as long as the run. Inside a loop.
AXLE_EXPORT option_change change_option(std::string_view name, std::string_view value);
/// The same on every core of the run, one after another; a cancel in between leaves the rest unchanged.
AXLE_EXPORT task<option_change> change_option_everywhere(std::string name, std::string value);

}  // namespace axle
