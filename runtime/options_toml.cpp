// The one place that knows toml++: a file's keys and values as text.
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "option_table.hpp"

namespace axle::detail {

namespace {

std::string_view type_in_words(const toml::node& node) {
  if (node.is_table()) return "a table";
  if (node.is_array()) return "an array";
  if (node.is_floating_point()) return "a number with a fraction";
  return "a date or time";
}

file_option option_of(std::string_view key, const toml::node& node) {
  file_option found{.key = std::string(key), .value = {}, .wrong_type = {}, .line = node.source().begin.line};
  if (const auto* text = node.as_string()) {
    found.value = text->get();
  } else if (const auto* number = node.as_integer()) {
    found.value = std::to_string(number->get());
  } else if (const auto* yes = node.as_boolean()) {
    found.value = yes->get() ? "true" : "false";
  } else {
    found.wrong_type = type_in_words(node);
  }
  return found;
}

std::string contents_of(const std::string& path) {
  struct closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string text;
  const std::unique_ptr<std::FILE, closer> file(std::fopen(path.c_str(), "rbe"));
  if (file) {
    char part[4096];
    std::size_t got = 0;
    do {
      got = std::fread(part, 1, sizeof part, file.get());
      text.append(part, got);
    } while (got == sizeof part);
  }
  if (!file || std::ferror(file.get()))
    throw std::system_error(errno, std::generic_category(), "cannot read the options in \"" + path + '"');
  return text;
}

}  // namespace

std::vector<file_option> read_option_file(const std::string& path) {
  const std::string text = contents_of(path);
  toml::table file;
  try {
    file = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    std::ostringstream message;
    message << path << ':' << error.source().begin.line << ": not TOML: " << error.description();
    throw std::invalid_argument(message.str());
  }
  std::vector<file_option> all;
  for (const auto& [key, node] : file) all.push_back(option_of(key.str(), node));
  std::stable_sort(all.begin(), all.end(),
                   [](const file_option& a, const file_option& b) { return a.line < b.line; });
  return all;
}

}  // namespace axle::detail
