/* Filters applied to vectors: dot products, two vectors by two filters at a time, so that each load
 * serves two multiplications. */
#ifndef TINYML_FILTERS_H
#define TINYML_FILTERS_H

#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

/* Sums are unsigned: they wrap by definition, and GCC needs no moves between signed and unsigned
 * registers in these loops, where nearly all instructions of a network are spent. Products are
 * ints, of any size: 16 bits hold them, and small processors multiply these several times as fast.
 */

/* acc[0..3] += x0.w0, x0.w1, x1.w0, x1.w1 over n elements */
static inline void tinyml_dot2x2(uint32_t acc[4], const int8_t *x0, const int8_t *x1,
                                 const TINYML_FLASH int8_t *w0, const TINYML_FLASH int8_t *w1,
                                 int32_t n) {
  uint32_t a = acc[0], b = acc[1], c = acc[2], d = acc[3];
  for (int32_t i = 0; i < n; ++i) {
    const int p = x0[i], q = x1[i], u = w0[i], v = w1[i];
    a += (uint32_t)(p * u);
    b += (uint32_t)(p * v);
    c += (uint32_t)(q * u);
    d += (uint32_t)(q * v);
  }
  acc[0] = a;
  acc[1] = b;
  acc[2] = c;
  acc[3] = d;
}

/* acc[0..1] += x.w0, x.w1 over n elements */
static inline void tinyml_dot1x2(uint32_t acc[2], const int8_t *x, const TINYML_FLASH int8_t *w0,
                                 const TINYML_FLASH int8_t *w1, int32_t n) {
  uint32_t a = acc[0], b = acc[1];
  for (int32_t i = 0; i < n; ++i) {
    const int p = x[i], u = w0[i], v = w1[i];
    a += (uint32_t)(p * u);
    b += (uint32_t)(p * v);
  }
  acc[0] = a;
  acc[1] = b;
}

/* acc + x.w over n elements */
static inline uint32_t tinyml_dot(uint32_t acc, const int8_t *x, const TINYML_FLASH int8_t *w,
                                  int32_t n) {
  for (int32_t i = 0; i < n; ++i) acc += (uint32_t)(x[i] * w[i]);
  return acc;
}

/* The output of a channel from its sum. */
static inline int8_t tinyml_filtered(const tinyml_filters *f, uint32_t sum, int32_t channel) {
  const int32_t q = f->per_channel ? channel : 0;
  return tinyml_to_s8(tinyml_requantize((int32_t)sum, f->multipliers[q], f->shifts[q]),
                      f->output_zero_point, f->act_min, f->act_max);
}

/* All filters, each of n weights, applied to one vector of n elements; `offset` joins each sum. */
static inline void tinyml_filter1(const tinyml_filters *f, const int8_t *x, int32_t n,
                                  uint32_t offset, int8_t *out) {
  const tinyml_filters g = *f; /* a copy that the stores through `out` cannot touch */
  const TINYML_FLASH int8_t *w = g.weights;
  int32_t channel = 0;
  for (; channel + 2 <= g.out_channels; channel += 2, w += 2 * n) {
    uint32_t acc[2] = {(uint32_t)g.biases[channel] + offset,
                       (uint32_t)g.biases[channel + 1] + offset};
    tinyml_dot1x2(acc, x, w, w + n, n);
    out[channel] = tinyml_filtered(&g, acc[0], channel);
    out[channel + 1] = tinyml_filtered(&g, acc[1], channel + 1);
  }
  if (channel < g.out_channels) {
    const uint32_t sum = tinyml_dot((uint32_t)g.biases[channel] + offset, x, w, n);
    out[channel] = tinyml_filtered(&g, sum, channel);
  }
}

/* All filters applied to two vectors; the second's outputs follow the first's. */
static inline void tinyml_filter2(const tinyml_filters *f, const int8_t *x0, const int8_t *x1,
                                  int32_t n, int8_t *out) {
  const tinyml_filters g = *f; /* as above */
  const TINYML_FLASH int8_t *w = g.weights;
  int8_t *out1 = out + g.out_channels;
  int32_t channel = 0;
  for (; channel + 2 <= g.out_channels; channel += 2, w += 2 * n) {
    const uint32_t bias0 = (uint32_t)g.biases[channel];
    const uint32_t bias1 = (uint32_t)g.biases[channel + 1];
    uint32_t acc[4] = {bias0, bias1, bias0, bias1};
    tinyml_dot2x2(acc, x0, x1, w, w + n, n);
    out[channel] = tinyml_filtered(&g, acc[0], channel);
    out[channel + 1] = tinyml_filtered(&g, acc[1], channel + 1);
    out1[channel] = tinyml_filtered(&g, acc[2], channel);
    out1[channel + 1] = tinyml_filtered(&g, acc[3], channel + 1);
  }
  if (channel < g.out_channels) {
    const uint32_t bias = (uint32_t)g.biases[channel];
    out[channel] = tinyml_filtered(&g, tinyml_dot(bias, x0, w, n), channel);
    out1[channel] = tinyml_filtered(&g, tinyml_dot(bias, x1, w, n), channel);
  }
}

#endif
