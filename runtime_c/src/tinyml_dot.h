/* Dot products of contiguous int8 vectors, two at a time: one load of x serves both. */
#ifndef TINYML_DOT_H
#define TINYML_DOT_H

#include "tinyml_fixedpoint.h"

/* acc + x . w over n elements, modulo 2^32 */
static inline int32_t tinyml_dot(int32_t acc, const int8_t *x, const int8_t *w, int32_t n) {
  for (; n >= 4; n -= 4, x += 4, w += 4) {
    acc = tinyml_add(acc, x[0] * w[0]);
    acc = tinyml_add(acc, x[1] * w[1]);
    acc = tinyml_add(acc, x[2] * w[2]);
    acc = tinyml_add(acc, x[3] * w[3]);
  }
  for (; n > 0; --n) acc = tinyml_add(acc, *x++ * *w++);
  return acc;
}

/* acc[i] += x . w_i over n elements, modulo 2^32 */
static inline void tinyml_dot2(int32_t acc[2], const int8_t *x, const int8_t *w0, const int8_t *w1,
                               int32_t n) {
  int32_t a = acc[0], b = acc[1];
  for (; n >= 4; n -= 4, x += 4, w0 += 4, w1 += 4) {
    a = tinyml_add(a, x[0] * w0[0]);
    b = tinyml_add(b, x[0] * w1[0]);
    a = tinyml_add(a, x[1] * w0[1]);
    b = tinyml_add(b, x[1] * w1[1]);
    a = tinyml_add(a, x[2] * w0[2]);
    b = tinyml_add(b, x[2] * w1[2]);
    a = tinyml_add(a, x[3] * w0[3]);
    b = tinyml_add(b, x[3] * w1[3]);
  }
  for (; n > 0; --n) {
    const int32_t value = *x++;
    a = tinyml_add(a, value * *w0++);
    b = tinyml_add(b, value * *w1++);
  }
  acc[0] = a;
  acc[1] = b;
}

/* sum of n elements */
static inline int32_t tinyml_sum(const int8_t *w, int32_t n) {
  int32_t sum = 0;
  for (; n > 0; --n) sum += *w++;
  return sum;
}

#endif
