/* Filters applied to vectors: dot products, one or two vectors by several filters at a time, so
 * that each load serves several multiplications, as many as there are registers for: two vectors by
 * two filters, or by eight.
 *
 * Weights come in fours: element by element, those of four filters side by side. What is left, one
 * to three filters, follows as it is. Sums are signed, as compilers then keep to the order of the
 * additions, which is the one that needs the fewest registers; vectors have fewer than
 * TINYML_FILTERS_ELEMENTS elements, so that no sum overflows. */
#ifndef TINYML_FILTERS_H
#define TINYML_FILTERS_H

#include "tinyml_kernels.h"
#include "tinyml_rescale.h"

/* step(k) for all k < n, which `advance` moves on to; eight or one to a turn */
#define TINYML_DOT(n, step, advance)                                           \
  for (int32_t i = (n) >> 3; i > 0; --i) {                                     \
    step(0) step(1) step(2) step(3) step(4) step(5) step(6) step(7) advance(8) \
  }                                                                            \
  for (int32_t i = (n)&7; i > 0; --i) {                                        \
    step(0) advance(1)                                                         \
  }

enum { TINYML_FILTERS_RUN = 32 }; /* channels whose sums are made before their outputs; in eights */

/* All filters, each of n weights, applied to one vector of n elements; `offset` joins each sum. */
__attribute__((noinline, weak)) void tinyml_filter1(const tinyml_filters *f, const int8_t *x,
                                                    int32_t n, int32_t offset, int8_t *out) {
  const TINYML_FLASH int8_t *w = f->weights;
  int32_t sums[TINYML_FILTERS_RUN];
  for (int32_t channel = 0; channel < f->out_channels; channel += TINYML_FILTERS_RUN) {
    const int32_t count = tinyml_min(f->out_channels - channel, TINYML_FILTERS_RUN);
    int32_t *sum = sums, *const fours = sums + (count & ~3), *const end = sums + count;
    for (; sum < fours; sum += 4) {
      const int8_t *in = x;
      int32_t a = 0, b = 0, c = 0, d = 0;
#define TINYML_STEP(k)       \
  {                          \
    TINYML_LOAD_NO_EARLIER;  \
    const int32_t p = in[k]; \
    a += p * w[4 * (k)];     \
    b += p * w[4 * (k) + 1]; \
    c += p * w[4 * (k) + 2]; \
    d += p * w[4 * (k) + 3]; \
  }
#define TINYML_ADVANCE(k) in += (k), w += 4 * (k);
      TINYML_DOT(n, TINYML_STEP, TINYML_ADVANCE)
#undef TINYML_STEP
#undef TINYML_ADVANCE
      sum[0] = tinyml_add(a, offset), sum[1] = tinyml_add(b, offset);
      sum[2] = tinyml_add(c, offset), sum[3] = tinyml_add(d, offset);
    }
    for (; sum < end; ++sum) {
      const int8_t *in = x;
      int32_t a = 0;
#define TINYML_STEP(k) a += in[k] * w[k];
#define TINYML_ADVANCE(k) in += (k), w += (k);
      TINYML_DOT(n, TINYML_STEP, TINYML_ADVANCE)
#undef TINYML_STEP
#undef TINYML_ADVANCE
      *sum = tinyml_add(a, offset);
    }
    tinyml_outputs(f, sums, 1, 0, channel, count, out + channel);
  }
}

#if defined(__ARM_ARCH_6M__)
/* All filters applied to two vectors; the second's outputs follow the first's. One after the other:
 * eight registers, which is what most instructions of Armv6-M reach, hold no four sums over two. */
static inline void tinyml_filter2(const tinyml_filters *f, const int8_t *x0, const int8_t *x1,
                                  int32_t n, int8_t *out) {
  tinyml_filter1(f, x0, n, 0, out);
  tinyml_filter1(f, x1, n, 0, out + f->out_channels);
}
#else
/* All filters applied to two vectors; the second's outputs follow the first's. */
__attribute__((noinline, weak)) void tinyml_filter2(const tinyml_filters *f, const int8_t *x0,
                                                    const int8_t *x1, int32_t n, int8_t *out) {
  const TINYML_FLASH int8_t *w = f->weights;
  int32_t sums[2 * TINYML_FILTERS_RUN];
#define TINYML_PRODUCTS(sum0, sum1, weight) \
  {                                         \
    const int32_t u = weight;               \
    sum0 += p * u;                          \
    sum1 += q * u;                          \
  }
  for (int32_t channel = 0; channel < f->out_channels; channel += TINYML_FILTERS_RUN) {
    const int32_t count = tinyml_min(f->out_channels - channel, TINYML_FILTERS_RUN);
    int32_t *sum = sums, *const end = sums + 2 * count;
#if defined(TINYML_REGISTERS_30)
    for (int32_t *const eights = sums + 2 * (count & ~7); sum < eights; sum += 16) {
      const int8_t *in0 = x0, *in1 = x1;
      const TINYML_FLASH int8_t *v = w + 4 * n;
      int32_t a0 = 0, b0 = 0, c0 = 0, d0 = 0, e0 = 0, f0 = 0, g0 = 0, h0 = 0;
      int32_t a1 = 0, b1 = 0, c1 = 0, d1 = 0, e1 = 0, f1 = 0, g1 = 0, h1 = 0;
#define TINYML_STEP(k)                      \
  {                                         \
    TINYML_LOAD_NO_EARLIER;                 \
    const int32_t p = in0[k], q = in1[k];   \
    TINYML_PRODUCTS(a0, a1, w[4 * (k)])     \
    TINYML_PRODUCTS(b0, b1, w[4 * (k) + 1]) \
    TINYML_LOAD_NO_EARLIER;                 \
    TINYML_PRODUCTS(c0, c1, w[4 * (k) + 2]) \
    TINYML_PRODUCTS(d0, d1, w[4 * (k) + 3]) \
    TINYML_LOAD_NO_EARLIER;                 \
    TINYML_PRODUCTS(e0, e1, v[4 * (k)])     \
    TINYML_PRODUCTS(f0, f1, v[4 * (k) + 1]) \
    TINYML_LOAD_NO_EARLIER;                 \
    TINYML_PRODUCTS(g0, g1, v[4 * (k) + 2]) \
    TINYML_PRODUCTS(h0, h1, v[4 * (k) + 3]) \
  }
#define TINYML_ADVANCE(k) in0 += (k), in1 += (k), w += 4 * (k), v += 4 * (k);
      TINYML_DOT(n, TINYML_STEP, TINYML_ADVANCE)
#undef TINYML_STEP
#undef TINYML_ADVANCE
      w = v;
      sum[0] = a0, sum[1] = a1, sum[2] = b0, sum[3] = b1;
      sum[4] = c0, sum[5] = c1, sum[6] = d0, sum[7] = d1;
      sum[8] = e0, sum[9] = e1, sum[10] = f0, sum[11] = f1;
      sum[12] = g0, sum[13] = g1, sum[14] = h0, sum[15] = h1;
    }
#endif
    for (int32_t *const fours = sums + 2 * (count & ~3); sum < fours; sum += 4) {
      const int8_t *in0 = x0, *in1 = x1;
      const TINYML_FLASH int8_t *next = w;
      int32_t a0 = 0, b0 = 0, a1 = 0, b1 = 0;
#define TINYML_STEP(k)                         \
  {                                            \
    TINYML_LOAD_NO_EARLIER;                    \
    const int32_t p = in0[k], q = in1[k];      \
    TINYML_PRODUCTS(a0, a1, next[4 * (k)])     \
    TINYML_PRODUCTS(b0, b1, next[4 * (k) + 1]) \
  }
#define TINYML_ADVANCE(k) in0 += (k), in1 += (k), next += 4 * (k);
      TINYML_DOT(n, TINYML_STEP, TINYML_ADVANCE)
#undef TINYML_STEP
#undef TINYML_ADVANCE
      w = (sum - sums) & 4 ? next - 2 : w + 2;
      sum[0] = a0, sum[1] = a1, sum[2] = b0, sum[3] = b1;
    }
    for (; sum < end; sum += 2) {
      const int8_t *in0 = x0, *in1 = x1;
      int32_t a0 = 0, a1 = 0;
#define TINYML_STEP(k)                    \
  {                                       \
    const int32_t p = in0[k], q = in1[k]; \
    TINYML_PRODUCTS(a0, a1, w[k])         \
  }
#define TINYML_ADVANCE(k) in0 += (k), in1 += (k), w += (k);
      TINYML_DOT(n, TINYML_STEP, TINYML_ADVANCE)
#undef TINYML_STEP
#undef TINYML_ADVANCE
      sum[0] = a0, sum[1] = a1;
    }
    tinyml_outputs(f, sums, 2, f->out_channels, channel, count, out + channel);
  }
#undef TINYML_PRODUCTS
}
#endif

#endif
