/* Filters applied to vectors: dot products, one or two vectors by several filters at a time, so
 * that each load serves several multiplications, as many as there are registers for.
 *
 * Weights come in fours: element by element, those of four filters side by side. What is left, one
 * to three filters, is packed alike. Sums are signed, as compilers then keep to the order of the
 * additions, which is the one that needs the fewest registers; vectors have fewer than
 * TINYML_FILTERS_ELEMENTS elements, so that no sum overflows. */
#ifndef TINYML_FILTERS_H
#define TINYML_FILTERS_H

#include "tinyml_kernels.h"
#include "tinyml_rescale.h"

/* Processors with some thirty registers sum up eight filters over two vectors at a time, others
 * two; those without offsets in their loads of signed bytes take shorter turns. */
#if defined(__riscv) || defined(__aarch64__) || defined(__x86_64__)
#define TINYML_FILTERS_EIGHT
#endif

/* step(k) for all k < n, which `advance` moves on to; eight or one to a turn */
#define TINYML_DOT(n, step, advance)                                           \
  for (int32_t i = (n) >> 3; i > 0; --i) {                                     \
    step(0) step(1) step(2) step(3) step(4) step(5) step(6) step(7) advance(8) \
  }                                                                            \
  for (int32_t i = (n)&7; i > 0; --i) {                                        \
    step(0) advance(1)                                                         \
  }

#define TINYML_INLINE static inline __attribute__((always_inline))

/* The outputs of one channel's sums over one vector. */
TINYML_INLINE void tinyml_output1(const tinyml_filters *f, int32_t channel, uint32_t sum,
                                  int8_t *out) {
  const tinyml_channel at = tinyml_channel_at(f, channel);
  if (f->rescale == TINYML_RESCALE_LINE) {
    out[channel] = tinyml_rescale_line(&at, f->left, f->act_min, f->act_max, sum);
  } else {
    out[channel] = tinyml_rescaled(f, sum, channel);
  }
}

/* The same over two. */
TINYML_INLINE void tinyml_output2(const tinyml_filters *f, int32_t channel, int32_t sum0,
                                  int32_t sum1, int8_t *out0, int8_t *out1) {
  if (f->rescale == TINYML_RESCALE_LINE) {
    const tinyml_channel at = tinyml_channel_at(f, channel);
    const int32_t left = f->left, low = f->act_min, high = f->act_max;
    out0[channel] = tinyml_rescale_line(&at, left, low, high, (uint32_t)sum0);
    out1[channel] = tinyml_rescale_line(&at, left, low, high, (uint32_t)sum1);
  } else {
    out0[channel] = tinyml_rescaled(f, (uint32_t)sum0, channel);
    out1[channel] = tinyml_rescaled(f, (uint32_t)sum1, channel);
  }
}

/* All filters, each of n weights, applied to one vector of n elements; `offset` joins each sum. */
__attribute__((noinline, weak)) void tinyml_filter1(const tinyml_filters *f, const int8_t *x,
                                                    int32_t n, uint32_t offset, int8_t *out) {
  const int8_t *w = f->weights;
  const int32_t channels = f->out_channels;
  int32_t channel = 0;
  for (; channel + 4 <= channels; channel += 4) {
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
    tinyml_output1(f, channel, (uint32_t)a + offset, out);
    tinyml_output1(f, channel + 1, (uint32_t)b + offset, out);
    tinyml_output1(f, channel + 2, (uint32_t)c + offset, out);
    tinyml_output1(f, channel + 3, (uint32_t)d + offset, out);
  }
  for (const int32_t rest = channels - channel; channel < channels; ++channel, ++w) {
    const int8_t *next = w;
    int32_t a = 0;
    for (int32_t i = 0; i < n; ++i, next += rest) a += x[i] * *next;
    tinyml_output1(f, channel, (uint32_t)a + offset, out);
  }
}

/* All filters applied to two vectors; the second's outputs follow the first's. */
__attribute__((noinline, weak)) void tinyml_filter2(const tinyml_filters *f, const int8_t *x0,
                                                    const int8_t *x1, int32_t n, int8_t *out0) {
  const int8_t *w = f->weights;
  const int32_t channels = f->out_channels;
  int8_t *const out1 = out0 + channels;
  int32_t channel = 0;
#define TINYML_PRODUCTS(sum0, sum1, weight) \
  {                                         \
    const int32_t u = weight;               \
    sum0 += p * u;                          \
    sum1 += q * u;                          \
  }
#if defined(TINYML_FILTERS_EIGHT)
  for (; channel + 8 <= channels; channel += 8) {
    const int8_t *in0 = x0, *in1 = x1, *v = w + 4 * n;
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
    tinyml_output2(f, channel, a0, a1, out0, out1);
    tinyml_output2(f, channel + 1, b0, b1, out0, out1);
    tinyml_output2(f, channel + 2, c0, c1, out0, out1);
    tinyml_output2(f, channel + 3, d0, d1, out0, out1);
    tinyml_output2(f, channel + 4, e0, e1, out0, out1);
    tinyml_output2(f, channel + 5, f0, f1, out0, out1);
    tinyml_output2(f, channel + 6, g0, g1, out0, out1);
    tinyml_output2(f, channel + 7, h0, h1, out0, out1);
  }
#endif
  for (; channel + 2 <= (channels & ~3); channel += 2) {
    const int8_t *in0 = x0, *in1 = x1, *next = w;
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
    w = channel & 2 ? next - 2 : w + 2;
    tinyml_output2(f, channel, a0, a1, out0, out1);
    tinyml_output2(f, channel + 1, b0, b1, out0, out1);
  }
  for (const int32_t rest = channels - channel; channel < channels; ++channel, ++w) {
    const int8_t *next = w;
    int32_t a0 = 0, a1 = 0;
    for (int32_t i = 0; i < n; ++i, next += rest) {
      const int32_t p = x0[i], q = x1[i];
      TINYML_PRODUCTS(a0, a1, *next)
    }
    tinyml_output2(f, channel, a0, a1, out0, out1);
  }
#undef TINYML_PRODUCTS
}

#endif
