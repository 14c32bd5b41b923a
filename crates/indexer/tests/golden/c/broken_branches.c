/* Its braces do not match before the preprocessor has run. */
int branches(int x) {
#ifdef X
  if (x) {
#else
  if (!x) {
#endif
    return 1;
  }
  return 2;
}

/* After it. */
int after(void) { return 1; }

int
#ifdef Y
split(int y)
#else
split(void)
#endif
{
  return 2;
}

/* The last whole one. */
static int last(void) { return 3; }

int unfinished(int a) {
  if (a) {
