// index_list: processor numbers as people write them, "0-3,8". Private to runtime/.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace axle::detail {

/// Of ascending numbers.
inline std::string index_list(const std::vector<unsigned>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text += std::to_string(numbers[i]);
    if (last > i) text += '-' + std::to_string(numbers[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace axle::detail
