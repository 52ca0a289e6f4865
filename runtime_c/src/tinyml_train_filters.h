/* Filters of layers whose parameters change: plain weights, and biases that take in the input's
 * zero point anew for each call. */
#ifndef TINYML_TRAIN_FILTERS_H
#define TINYML_TRAIN_FILTERS_H

#include <string.h>

#include "tinyml_fixedpoint.h"
#include "tinyml_train_common.h"

/* `folded` takes biases less input_zero_point * sum(w - weights_zero_point), over the `n` weights
 * of each filter. */
static inline void tinyml_train_fold(const tinyml_train_linear_s8_op *op, const int8_t *weights,
                                     const int32_t *bias, int32_t n, int32_t *folded) {
  const int32_t *biases = bias != NULL ? bias : op->outputs.biases;
  for (int32_t o = 0; o < op->layer.out_channels; ++o) {
    int32_t sum = -n * op->weights_zero_point;
    for (int32_t i = 0; i < n; ++i) sum += *weights++;
    folded[o] = (int32_t)((uint32_t)biases[o] - (uint32_t)op->input_zero_point * (uint32_t)sum);
  }
}

/* The output of a channel from its sum. */
static inline int8_t tinyml_train_output(const tinyml_train_outputs_s8 *out, uint32_t sum,
                                         int32_t channel) {
  const int32_t scaled =
      tinyml_requantize((int32_t)sum, out->multipliers[channel], out->shifts[channel]);
  return tinyml_to_s8(scaled, out->zero_point, out->act_min, out->act_max);
}

/* All filters, each of n weights, applied to one vector, or to two whose outputs follow each other;
 * `offset` joins each sum. Sums wrap. */
static inline void tinyml_train_filter(const tinyml_train_linear_s8_op *op, const int8_t *weights,
                                       const int32_t *biases, const int8_t *x, int32_t vectors,
                                       int32_t n, uint32_t offset, int8_t *y) {
  const int32_t channels = op->layer.out_channels;
  for (int32_t o = 0; o < channels; ++o, weights += n) {
    uint32_t a = (uint32_t)biases[o] + offset, b = a;
    if (vectors == 2) {
      const int8_t *next = x + n;
      for (int32_t i = 0; i < n; ++i) {
        const int32_t w = weights[i];
        a += (uint32_t)(x[i] * w);
        b += (uint32_t)(next[i] * w);
      }
      y[o + channels] = tinyml_train_output(&op->outputs, b, o);
    } else {
      for (int32_t i = 0; i < n; ++i) a += (uint32_t)(x[i] * weights[i]);
    }
    y[o] = tinyml_train_output(&op->outputs, a, o);
  }
}

/* The window of an image whose first tap is at (top, left); padding is the zero point. */
static inline void tinyml_train_gather(const tinyml_train_linear_s8_op *op, const int8_t *image,
                                       int32_t top, int32_t left, int8_t *to) {
  const tinyml_train_layer *l = &op->layer;
  const tinyml_train_window *w = &l->window;
  const size_t pixel = (size_t)l->in_channels;
  for (int32_t u = 0; u < w->kernel_height; ++u) {
    const int32_t y = top + u * w->dilation_y;
    for (int32_t v = 0; v < w->kernel_width; ++v, to += pixel) {
      const int32_t x = left + v * w->dilation_x;
      if (y < 0 || y >= l->in_height || x < 0 || x >= l->in_width) {
        memset(to, op->input_zero_point, pixel);
      } else {
        memcpy(to, image + (y * l->in_width + x) * l->in_channels, pixel);
      }
    }
  }
}

#endif
