/* One.
 * Two. */
int first(void)
{
  return 1;
}

#define TWICE(x) \
  ((x) * 2)
// Größe in Metern.
int größe(void) { return 'ä'; }
