/* The forward pass in float32: sums that grow in place, tap by tap. */
#ifndef TINYML_TRAIN_FORWARD_H
#define TINYML_TRAIN_FORWARD_H

#include "tinyml_train_common.h"

/* Every pixel of y, of `channels`, starts with the bias (0 for NULL). */
static inline void tinyml_train_start(float *y, int32_t pixels, int32_t channels,
                                      const float *bias) {
  for (; pixels > 0; --pixels) {
    for (int32_t o = 0; o < channels; ++o) *y++ = bias == NULL ? 0.0f : 0.0f + bias[o];
  }
}

static inline float tinyml_train_clamp(float x, float low, float high) {
  if (!(x > low)) x = low;
  return x < high ? x : high;
}

static inline void tinyml_train_limit(float *y, int32_t count, float low, float high) {
  for (; count > 0; --count, ++y) *y = tinyml_train_clamp(*y, low, high);
}

/* y[o] += over i: x[i] * w[o][i], for `outputs` at `n` places. */
static inline void tinyml_train_add_dots(const float *x, int32_t x_step, const float *w,
                                         int32_t w_step, int32_t inputs, float *y, int32_t y_step,
                                         int32_t outputs, int32_t n) {
  if (outputs == 4) { /* two places at a time: every value loaded serves two products or four */
    const float *w0 = w, *w1 = w + w_step, *w2 = w1 + w_step, *w3 = w2 + w_step;
    for (; n >= 2; n -= 2, x += 2 * x_step, y += 2 * y_step) {
      const float *x1 = x + x_step;
      float *z = y + y_step;
      float a = y[0], b = y[1], c = y[2], d = y[3];
      float e = z[0], f = z[1], g = z[2], h = z[3];
      for (int32_t i = 0; i < inputs; ++i) {
        const float p = x[i], q = x1[i], s = w0[i], t = w1[i], u = w2[i], v = w3[i];
        a += p * s;
        b += p * t;
        c += p * u;
        d += p * v;
        e += q * s;
        f += q * t;
        g += q * u;
        h += q * v;
      }
      y[0] = a;
      y[1] = b;
      y[2] = c;
      y[3] = d;
      z[0] = e;
      z[1] = f;
      z[2] = g;
      z[3] = h;
    }
    if (n == 0) return;
    float a = y[0], b = y[1], c = y[2], d = y[3];
    for (int32_t i = 0; i < inputs; ++i) {
      const float p = x[i];
      a += p * w0[i];
      b += p * w1[i];
      c += p * w2[i];
      d += p * w3[i];
    }
    y[0] = a;
    y[1] = b;
    y[2] = c;
    y[3] = d;
    return;
  }
  for (; n > 0; --n, x += x_step, y += y_step) {
    for (int32_t o = 0; o < outputs; ++o) {
      float sum = y[o];
      for (int32_t i = 0; i < inputs; ++i) sum += x[i] * w[o * w_step + i];
      y[o] = sum;
    }
  }
}

#endif
