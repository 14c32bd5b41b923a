/* What the file is about. */

#include <stdio.h>
#define LIMIT 10
/* The larger one. */
#define MAX(a, b) \
  ((a) > (b) ? (a) : (b))
#define EMPTY()

/* Says hello. */
static inline int hello(int a) { return a; }

// Returns text.
char *text(void)
{
  return "text";
}

/** Returns a pointer to a function. */
int (*chooser(int which))(int) { return 0; }
const char *const *(*deep(void))[3] { return 0; }
int (parenthesised)(int a) { return a; }

/* As it was written in 1978. */
int kernighan(a, b)
  int a;
  char *b;
{ return a; }
main(argc, argv) char **argv; { }

int declared(int), declared_second(void);
extern void (*signal(int sig, void (*handler)(int)))(int);
int (*pointer)(int);
static int (*table[])(int) = { hello, 0 };
unsigned long *count(void), other;

__attribute__((noreturn)) void fail(void) __attribute__((cold));
[[nodiscard]] int checked(void) { return 1; }
EXPORT int exported(int a) { return a; }
EXPORT(int) exported_as(int a) { return a; }
DEFINE_LIST(node, next)

struct point *make(void) {
  struct local { int x; };
  typedef int hidden;
  int nested(int);
  return 0;
}

#if defined(A)
/* One way. */
void both(void) { }
#else
/* The other. */
void both(void) { }
#endif

/* Looks away. */

void lonely(void) { } /* after */
void next(void) { }

/* With macros in its head. */
API_EXPORT void CALLED with_macros(int a) NOEXCEPT { }
/* Of a kernel. */
static int __init kernel(void) { return 0; }
BEGIN_SECTION
/* In a section. */
static void in_section(void);
typedef int (WINAPI *with_macro_t)(int);
