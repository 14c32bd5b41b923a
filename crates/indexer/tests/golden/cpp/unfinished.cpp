/// Whole.
struct Whole { int f() { return 1; } };

namespace open {

template <typename T>
class Half {
  int done() { return 1; }
  int half(int a {

int after() { return 2; }
