/* Filters applied to vectors: dot products, two vectors by two filters at a time, so that each load
 * serves two multiplications. */
#ifndef TINYML_FILTERS_H
#define TINYML_FILTERS_H

#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

/* acc[0..3] += x0.w0, x0.w1, x1.w0, x1.w1 over n elements, modulo 2^32 */
static inline void tinyml_dot2x2(int32_t acc[4], const int8_t *x0, const int8_t *x1,
                                 const int8_t *w0, const int8_t *w1, int32_t n) {
  int32_t a = acc[0], b = acc[1], c = acc[2], d = acc[3];
  for (int32_t i = 0; i < n; ++i) {
    const int32_t p = x0[i], q = x1[i], u = w0[i], v = w1[i];
    a = tinyml_add(a, p * u);
    b = tinyml_add(b, p * v);
    c = tinyml_add(c, q * u);
    d = tinyml_add(d, q * v);
  }
  acc[0] = a;
  acc[1] = b;
  acc[2] = c;
  acc[3] = d;
}

/* acc[0..1] += x.w0, x.w1 over n elements, modulo 2^32 */
static inline void tinyml_dot1x2(int32_t acc[2], const int8_t *x, const int8_t *w0,
                                 const int8_t *w1, int32_t n) {
  int32_t a = acc[0], b = acc[1];
  for (int32_t i = 0; i < n; ++i) {
    const int32_t p = x[i];
    a = tinyml_add(a, p * w0[i]);
    b = tinyml_add(b, p * w1[i]);
  }
  acc[0] = a;
  acc[1] = b;
}

/* acc + x.w over n elements, modulo 2^32 */
static inline int32_t tinyml_dot(int32_t acc, const int8_t *x, const int8_t *w, int32_t n) {
  for (int32_t i = 0; i < n; ++i) acc = tinyml_add(acc, x[i] * w[i]);
  return acc;
}

/* The output of a channel from its sum. */
static inline int8_t tinyml_filtered(const tinyml_filters *f, int32_t sum, int32_t channel) {
  const int32_t q = f->per_channel ? channel : 0;
  return tinyml_to_s8(tinyml_requantize(sum, f->multipliers[q], f->shifts[q]), f->output_zero_point,
                      f->act_min, f->act_max);
}

/* All filters, each of n weights, applied to one vector of n elements; `offset` joins each sum. */
static inline void tinyml_filter1(const tinyml_filters *f, const int8_t *x, int32_t n,
                                  int32_t offset, int8_t *out) {
  const tinyml_filters g = *f; /* a copy that the stores through `out` cannot touch */
  const int8_t *w = g.weights;
  int32_t channel = 0;
  for (; channel + 2 <= g.out_channels; channel += 2, w += 2 * n) {
    int32_t acc[2] = {tinyml_add(g.biases[channel], offset),
                      tinyml_add(g.biases[channel + 1], offset)};
    tinyml_dot1x2(acc, x, w, w + n, n);
    out[channel] = tinyml_filtered(&g, acc[0], channel);
    out[channel + 1] = tinyml_filtered(&g, acc[1], channel + 1);
  }
  if (channel < g.out_channels) {
    const int32_t sum = tinyml_dot(tinyml_add(g.biases[channel], offset), x, w, n);
    out[channel] = tinyml_filtered(&g, sum, channel);
  }
}

/* All filters applied to two vectors; the second's outputs follow the first's. */
static inline void tinyml_filter2(const tinyml_filters *f, const int8_t *x0, const int8_t *x1,
                                  int32_t n, int8_t *out) {
  const tinyml_filters g = *f; /* as above */
  const int8_t *w = g.weights;
  int8_t *out1 = out + g.out_channels;
  int32_t channel = 0;
  for (; channel + 2 <= g.out_channels; channel += 2, w += 2 * n) {
    int32_t acc[4] = {g.biases[channel], g.biases[channel + 1], g.biases[channel],
                      g.biases[channel + 1]};
    tinyml_dot2x2(acc, x0, x1, w, w + n, n);
    out[channel] = tinyml_filtered(&g, acc[0], channel);
    out[channel + 1] = tinyml_filtered(&g, acc[1], channel + 1);
    out1[channel] = tinyml_filtered(&g, acc[2], channel);
    out1[channel + 1] = tinyml_filtered(&g, acc[3], channel + 1);
  }
  if (channel < g.out_channels) {
    out[channel] = tinyml_filtered(&g, tinyml_dot(g.biases[channel], x0, w, n), channel);
    out1[channel] = tinyml_filtered(&g, tinyml_dot(g.biases[channel], x1, w, n), channel);
  }
}

#endif
