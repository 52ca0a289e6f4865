#include "tinyml_train_filters.h"

void tinyml_train_depthwise_s8(const tinyml_train_linear_s8_op *op, const int8_t *x,
                               const int8_t *weights, const int32_t *bias, int8_t *y) {
  const tinyml_train_layer *l = &op->layer;
  const tinyml_train_window *w = &l->window;
  const int32_t *biases = bias != NULL ? bias : op->outputs.biases;
  for (int32_t row = 0; row < l->images * l->out_height; ++row) {
    const int32_t top = row % l->out_height * w->stride_y - w->pad_top;
    const tinyml_taps rows = tinyml_clip(top, l->in_height, w->kernel_height, w->dilation_y);
    const int8_t *image = x + row / l->out_height * l->in_height * l->in_width * l->in_channels;
    for (int32_t column = 0; column < l->out_width; ++column) {
      const int32_t left = column * w->stride_x - w->pad_left;
      const tinyml_taps columns = tinyml_clip(left, l->in_width, w->kernel_width, w->dilation_x);
      const int32_t x_step = w->dilation_x * l->in_channels;
      int32_t channel = 0, fed = 0; /* fed: outputs that `channel` has fed */
      for (int32_t o = 0; o < l->out_channels; ++o) {
        uint32_t sum = (uint32_t)biases[o];
        for (int32_t u = rows.begin; u < rows.end; ++u) {
          const int32_t pixel = (top + u * w->dilation_y) * l->in_width + left;
          const int8_t *from = image + pixel * l->in_channels + columns.begin * x_step + channel;
          const int8_t *k = weights + (u * w->kernel_width + columns.begin) * l->out_channels + o;
          for (int32_t v = columns.begin; v < columns.end; ++v) {
            sum += (uint32_t)((*from - op->input_zero_point) * *k);
            from += x_step;
            k += l->out_channels;
          }
        }
        *y++ = tinyml_train_output(&op->outputs, sum, o);
        if (++fed == l->multiplier) {
          fed = 0;
          ++channel;
        }
      }
    }
  }
}
