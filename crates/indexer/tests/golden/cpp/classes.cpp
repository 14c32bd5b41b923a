/// About the file.

#include "a.hpp"

namespace geo::detail {

/// A box of things.
template <typename T, int N = 1>
class Box : public Base<T> {
 public:
  Box();
  /// Makes one.
  explicit Box(int x) : a(x) {}
  Box(const Box&) = delete;
  virtual ~Box() = default;
  ~Box() {}
  /// Its size.
  [[nodiscard]] int size() const noexcept { return 1; }
  static int declared(int);
  virtual void pure() = 0;
  /// Compares.
  friend bool operator==(const Box&, const Box&) { return true; }
  friend void declared_friend(Box&);
  friend class Other;
  explicit operator bool() const { return true; }
  operator const T*() const { return nullptr; }
  Box& operator = (int) { return *this; }
  int operator () (int) { return 1; }
  T& operator[](int i) { return t[i]; }
  /// For all.
  template <class U> auto visit(U u) -> decltype(u()) { return u(); }
  struct Inner { void run() {} enum class Mode : char { A, B }; };
  using value_type = T;
  typedef T* pointer;
  int a = [] { return 1; }();
  auto lambda() { return [this](int x) { struct InLambda { int y; }; return x; }; }
};

template <>
struct Box<int, 2> { };

template <typename T, int N>
Box<T, N>::Box() : a(1) {}

template <typename T, int N>
int Box<T, N>::declared(int x) { return x; }

template <class T>
template <class U>
void Outer<T>::Nested<U>::deep() {}

}  // namespace geo::detail

/// Defined outside.
void A::b() {}
geo::Point a::b::C::d(int) { return {}; }
A::A(A&&) noexcept = default;
A::~A() {}
A::operator int*() const { return nullptr; }
A& A::operator+=(int x) { return *this; }
int ::global() { return 1; }
class Q::Nested { void w() {} };
class Forward;
struct [[maybe_unused]] Attributed final : A { int x; };
union Either { int a; Either() {} };
enum struct Small : unsigned char { One };
enum class Opaque : int;
