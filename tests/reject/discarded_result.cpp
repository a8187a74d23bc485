// must not compile: ignoring return(ed)? value .*'?nodiscard
// What can fail says so by its type, and whoever calls it must look.
#include <axle/result.hpp>

axle::result<int> parse() { return 1; }

int looks_at_what_it_gets() {
#ifdef MISUSE
  parse();
  return 0;
#else
  return parse().value_or(0);
#endif
}
