// Command lines of the benchmark programs: `--name value` and `--flag`, nothing else.
//
// Invariant: every argument given is either asked for by the program or reported by `finish()`; a misspelt
// option never silently measures something else.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

class arguments {
 public:
  arguments(int count, char** values) : words_(values + 1, values + count), used_(words_.size(), false) {}

  // True when `name` was given; it takes no value.
  bool flag(std::string_view name) {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      if (words_[i] == name) return used_[i] = true;
    }
    return false;
  }

  // The word after `name`, or `otherwise`.
  std::string text(std::string_view name, std::string_view otherwise) {
    for (std::size_t i = 0; i + 1 < words_.size(); ++i) {
      if (words_[i] != name) continue;
      used_[i] = used_[i + 1] = true;
      return words_[i + 1];
    }
    return std::string(otherwise);
  }

  // The number after `name`, or `otherwise`. Exits with 2 when it is no number.
  double number(std::string_view name, double otherwise) {
    std::string word = text(name, "");
    if (word.empty()) return otherwise;
    char* end = nullptr;
    double value = std::strtod(word.c_str(), &end);
    if (*end == '\0') return value;
    std::fprintf(stderr, "%.*s: not a number: %s\n", int(name.size()), name.data(), word.c_str());
    std::exit(2);
  }

  // Exits with 2 and the usage when something was given that nobody asked for.
  void finish(const char* usage) const {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      if (used_[i]) continue;
      std::fprintf(stderr, "unknown argument: %s\nusage: %s\n", words_[i].c_str(), usage);
      std::exit(2);
    }
  }

 private:
  std::vector<std::string> words_;
  std::vector<bool> used_;
};

}  // namespace bench
