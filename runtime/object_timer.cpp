// What the wheel does with an object's timer. Owning core only.
#include <axle/detail/object_timer.hpp>

namespace axle::detail {

const wait_kind object_timer::kind_of = {
    .complete =
        [](wait_node& node) noexcept { static_cast<object_timer&>(static_cast<timer_node&>(node)).fire(); },
    .cancel = nullptr,
    .what = "object_timer",
};

}  // namespace axle::detail
