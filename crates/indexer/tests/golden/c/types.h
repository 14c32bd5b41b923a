/* SPDX-License-Identifier: MIT */
#ifndef TYPES_H
#define TYPES_H

#ifdef __cplusplus
extern "C" {
#endif

/** A point. */
struct point {
  int x; /**< to the right */
  int y;
  struct inner { int z; } in;
  union { int a; float b; } u;
  int (*callback)(int);
};

/** Without a tag. */
typedef struct {
  int a;
} untagged;

typedef struct tagged_s { struct { int deep; } d; } tagged, *tagged_pointer;
typedef struct same { int a; } same;
typedef struct opaque opaque;
typedef struct only_pointer { int a; } *only_pointer_t;
struct forward;

/* Colours. */
enum colour { RED, GREEN };
enum { NAMELESS = 1 };
typedef enum { ON, OFF } state;
typedef union value { int i; double d; } value_t;
union plain { int i; };
struct __attribute__((packed)) packed { char c; };

/** Called back. */
typedef int (*callback_t)(void *, int);
typedef void function_t(int);
typedef unsigned long ulong_t, ulongs_t[4];
static struct { int a; } variable;
struct point origin = { 0, 0 };

/** Moves it. */
struct point move(struct point p, int by);
API_EXPORT size_t exported(const void *data, size_t size);

#ifdef __cplusplus
}
#endif
#endif
