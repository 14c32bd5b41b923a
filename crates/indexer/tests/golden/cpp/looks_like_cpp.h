#pragma once
/* A header that is C++ by what is in it. */

/// A thing.
class Thing {
 public:
  int get() const { return x_; }
 private:
  int x_;
};

#ifdef OLD
inline int both() { return 1; }
#else
inline int both() { return 2; }
#endif
