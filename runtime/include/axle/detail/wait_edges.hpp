// wait_edges: the tasks that a waiting task waits for; what the await graph is made of. Filled on the owning core.
#pragma once

#include <cstdint>
#include <vector>

namespace axle::detail {

struct wait_edges {
  std::vector<std::uint32_t> tasks;  // their ids
  bool any_will_do = false;          // one of them is enough; else each of them is needed
  bool or_else = false;              // something besides them ends the wait: a deadline
  bool owned = false;                // they are children of the waiting task
};

}  // namespace axle::detail
