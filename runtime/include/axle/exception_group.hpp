// exception_group: several tasks of one scope failed; all of their exceptions.
// From gather they stand in the order of its arguments, from a group in the order in which they happened.
#pragma once

#include <exception>
#include <string>
#include <utility>
#include <vector>

#include <axle/alloc/frame_pool.hpp>  // AXLE_EXPORT

namespace axle {

class AXLE_EXPORT exception_group : public std::exception {
 public:
  explicit exception_group(std::vector<std::exception_ptr> errors);
  const char* what() const noexcept override { return what_.c_str(); }
  /// The exceptions; two or more.
  const std::vector<std::exception_ptr>& errors() const noexcept { return errors_; }

 private:
  std::vector<std::exception_ptr> errors_;
  std::string what_;
};

}  // namespace axle
