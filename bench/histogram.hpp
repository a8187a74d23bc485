// Latencies in nanoseconds, counted into log-linear cells: 128 to each power of two, so an error below 0.8 %.
//
// Invariant: recording touches one counter and never allocates; values beyond 2^40 ns land in the last cell.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace bench {

class histogram {
 public:
  void record(std::uint64_t ns) {
    ++cells_[cell_of(ns)];
    ++count_;
    largest_ = std::max(largest_, ns);
  }

  void clear() {
    std::fill(cells_.begin(), cells_.end(), 0);
    count_ = largest_ = 0;
  }

  std::uint64_t count() const { return count_; }
  std::uint64_t largest() const { return largest_; }

  // The value below or at which `part` (0 to 1) of what was recorded lies: the middle of its cell.
  double quantile(double part) const {
    std::uint64_t wanted = std::uint64_t(part * double(count_)), seen = 0;
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      seen += cells_[i];
      if (seen > wanted) return std::min(double(largest_), (lowest_of(i) + lowest_of(i + 1)) / 2);
    }
    return double(largest_);
  }

 private:
  static constexpr unsigned bits = 7, per_octave = 1u << bits, octaves = 40 - bits;

  static std::size_t cell_of(std::uint64_t ns) {
    if (ns < per_octave) return ns;
    unsigned shift = std::bit_width(ns) - 1 - bits;
    return std::min<std::size_t>(cell_count - 1, std::size_t(shift) * per_octave + (ns >> shift));
  }

  static double lowest_of(std::size_t cell) {
    if (cell < 2 * per_octave) return double(cell);
    std::size_t shift = cell / per_octave - 1;
    return double(std::uint64_t(per_octave + cell % per_octave) << shift);
  }

  static constexpr std::size_t cell_count = (octaves + 1) * per_octave;

  std::vector<std::uint32_t> cells_ = std::vector<std::uint32_t>(cell_count);
  std::uint64_t count_ = 0;
  std::uint64_t largest_ = 0;
};

}  // namespace bench
