namespace { int hidden() { return 1; } }
inline namespace v1 { int versioned(); }
namespace a { namespace b::inline c { int deep(int); } }
namespace shorter = a::b;

// Of two.
template <typename T> requires Addable<T>
T sum(T a, T b) { return a + b; }
template <> int sum<int>(int a, int b) { return a; }
template int sum<char>(char, char);

/// Can be added.
template <typename T>
concept Addable = requires(T a) { a + a; };
template <class T> using Vec = std::vector<T, Alloc<T>>;
typedef struct { int a; void method() {} } Old;
typedef std::map<int, int> Map;

bool operator==(const A& a, const B& b) { return true; }
A operator+(A, B);
void* operator new[](std::size_t n) { return nullptr; }
long double operator""_km(long double x) { return x; }

extern "C" {
/* Called from C. */
int from_c(void) { return 1; }
int declared_for_c(void);
}
/// Alone.
extern "C" int alone() { return 1; }

auto trailing(int x) -> int { using Local = int; struct Here { void method() {} }; return x; }
int& reference() { static int x; return x; }
int&& moved();
constexpr auto lambda = [](auto x) { return x; };
std::string text(const std::string& s = "("), other;
int main() try { return 0; } catch (...) { return 1; }
[[noreturn]] void never();
static const int table[] = { f(1), [] { return 2; }() };

TEST(Suite, Name) { int a; }
TEST_F(Fixture, Other) {}

#define CALL(f, ...) f(__VA_ARGS__)

class EXPORT Exported final : public Base {
 public:
  /// Counts.
  int count() { return 1; }
  void declared();
};
class EXPORT_ONLY Simple { void method() {} };
BEGIN_NAMESPACE
namespace macro { void in_macro() {} }
