// What the tests of options share: variables and files for a scope, and a value for each row of the table.
#pragma once

#include <stdlib.h>

#include <cctype>
#include <fstream>
#include <optional>

#include "tests/support.hpp"

namespace axle::test {

/// A variable of the environment, for as long as this lives.
class variable {
 public:
  variable(std::string name, const char* value) : name_(std::move(name)) {
    if (const char* before = getenv(name_.c_str())) before_ = before;
    value ? setenv(name_.c_str(), value, 1) : unsetenv(name_.c_str());
  }
  variable(std::string name, const std::string& value) : variable(std::move(name), value.c_str()) {}
  variable(const variable&) = delete;
  variable& operator=(const variable&) = delete;
  ~variable() { before_ ? setenv(name_.c_str(), before_->c_str(), 1) : unsetenv(name_.c_str()); }

 private:
  std::string name_;
  std::optional<std::string> before_;
};

/// A file with this text, for as long as it lives.
class file {
 public:
  explicit file(const std::string& text) {
    std::string pattern = (std::filesystem::temp_directory_path() / "axle-options-XXXXXX").string();
    close(mkstemp(pattern.data()));
    path = pattern;
    std::ofstream(path) << text;
  }
  file(const file&) = delete;
  file& operator=(const file&) = delete;
  ~file() { std::filesystem::remove(path); }
  std::string path;
};

inline option_list options_of_a_run(const run_options& given = {}) {
  return run(given, []() -> task<option_list> { co_return current_options(); });
}

inline option_state find(const option_list& options, std::string_view name) {
  for (const option_state& each : options)
    if (each.name == name) return each;
  ADD_FAILURE() << "no option " << name;
  return options.front();
}

inline std::string variable_of(std::string_view name) {
  std::string text = "AXLE_";
  for (const char c : name) text += static_cast<char>(std::toupper(c));
  return text;
}

/// A value that is good for this option and not its default.
inline std::string other_than(const option_state& option) {
  if (option.name == "cores") return "1";
  if (option.name == "driver") return "sim";
  if (option.name == "poll") return "busy";
  if (option.preset == "true") return "false";
  if (option.preset == "false") return "true";
  if (option.preset.ends_with("KiB")) return "12KiB";
  if (std::isalpha(option.preset.back())) return "7003us";
  return "77";
}

/// What a bad start says.
template <class Error = std::invalid_argument, class F>
std::string refusal(F start) {
  try {
    start();
    ADD_FAILURE() << "it was not refused";
  } catch (const Error& why) {
    return why.what();
  }
  return "";
}
// The simulator by the environment: a driver that the program names would stay.
class options : public ::testing::Test {
 protected:
  ~options() override { detail::debug_mode = false; }  // a run switches it on for good

 private:
  variable driver_{"AXLE_DRIVER", "sim"};
  variable debug_{"AXLE_DEBUG", nullptr};
  variable config_{"AXLE_CONFIG", nullptr};
};

}  // namespace axle::test
