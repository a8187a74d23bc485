// option_table: the values of all options, and where each came from. Private to runtime/; the table is in options.cpp.
#pragma once

#include <string>
#include <vector>

#include <axle/options.hpp>

namespace axle::detail {

struct option_origin {
  option_source source = option_source::preset;
  std::string where;
};

/// The options of a run, or of one of its cores.
struct option_values {
  run_options now;
  std::vector<option_origin> from;  // one for each row of the table
};

/// What a run goes by that was given these: file and environment have their say. Throws what load_options does.
option_values settle_options(const run_options& given);

/// Where the value of an option came from, for a message: "AXLE_CORES: ", or nothing if the program has it from itself.
std::string origin_of(const option_values& values, std::string_view name);

/// A key of a file and its value as text.
struct file_option {
  std::string key;
  std::string value;
  std::string_view wrong_type;  // "an array", ...: it has no value that an option could have
  unsigned line;
};
/// The keys of a TOML file, in its order. Throws as load_options does.
std::vector<file_option> read_option_file(const std::string& path);

}  // namespace axle::detail
