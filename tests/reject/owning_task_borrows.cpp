// must not compile: owning_task: every parameter must be taken by value
// A coroutine that owns what it uses takes nothing by reference.
#include <string>

#include <axle/owning_task.hpp>

#ifdef MISUSE
axle::owning_task<std::size_t> length(const std::string& text) { co_return text.size(); }
#else
axle::owning_task<std::size_t> length(std::string text) { co_return text.size(); }
#endif

axle::task<std::size_t> use() { co_return co_await length("abc"); }
