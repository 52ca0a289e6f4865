#include "tinyml_train_filters.h"

void tinyml_train_conv_s8(const tinyml_train_linear_s8_op *op, const int8_t *x,
                          const int8_t *weights, const int32_t *bias, int8_t *y, void *scratch) {
  const tinyml_train_layer *l = &op->layer;
  const tinyml_train_window *w = &l->window;
  const int32_t taps = w->kernel_height * w->kernel_width * l->in_channels;
  int32_t *folded = (int32_t *)scratch;
  int8_t *window = (int8_t *)(folded + l->out_channels);
  tinyml_train_fold(op, weights, bias, taps, folded);
  int32_t held = 0;
  for (int32_t row = 0; row < l->images * l->out_height; ++row) {
    const int32_t top = row % l->out_height * w->stride_y - w->pad_top;
    const int8_t *image = x + row / l->out_height * l->in_height * l->in_width * l->in_channels;
    for (int32_t column = 0; column < l->out_width; ++column) {
      tinyml_train_gather(op, image, top, column * w->stride_x - w->pad_left, window + held * taps);
      if (++held < 2) continue;
      tinyml_train_filter(op, weights, folded, window, 2, taps, 0, y);
      y += 2 * l->out_channels;
      held = 0;
    }
  }
  if (held) tinyml_train_filter(op, weights, folded, window, 1, taps, 0, y);
}
