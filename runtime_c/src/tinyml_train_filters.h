/* Filters of layers whose parameters change: the input's zero point joins the biases for each call.
 */
#ifndef TINYML_TRAIN_FILTERS_H
#define TINYML_TRAIN_FILTERS_H

#include <string.h>

#include "tinyml_filters.h"
#include "tinyml_train_common.h"

/* `folded` takes biases less input_zero_point * sum(w - weights_zero_point), over the `n` weights
 * of each filter; `filters` these and the weights. */
static inline void tinyml_train_fold(const tinyml_train_linear_s8_op *op, const int8_t *weights,
                                     const int32_t *bias, int32_t n, int32_t *folded,
                                     tinyml_filters *filters) {
  const int32_t *biases = bias != NULL ? bias : op->filters.biases;
  *filters = op->filters;
  filters->weights = weights;
  filters->biases = folded;
  for (int32_t o = 0; o < filters->out_channels; ++o) {
    int32_t sum = -n * op->weights_zero_point;
    for (int32_t i = 0; i < n; ++i) sum += *weights++;
    folded[o] = (int32_t)((uint32_t)biases[o] - (uint32_t)op->input_zero_point * (uint32_t)sum);
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
