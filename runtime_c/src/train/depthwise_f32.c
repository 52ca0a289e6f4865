#include "tinyml_train_forward.h"

void tinyml_train_depthwise_f32(const tinyml_train_linear_f32_op *op, const float *x,
                                const float *weights, const float *bias, float *y) {
  const tinyml_train_layer *l = &op->layer;
  const int32_t taps = l->window.kernel_height * l->window.kernel_width;
  const int32_t pixels = l->images * l->out_height * l->out_width;
  tinyml_train_start(y, pixels, l->out_channels, bias);
  for (int32_t k = 0; k < taps; ++k, weights += l->out_channels) {
    const tinyml_train_tap tap =
        tinyml_train_tap_at(l, k / l->window.kernel_width, k % l->window.kernel_width);
    for (int32_t n = 0; n < l->images; ++n) {
      for (int32_t at = tap.rows.begin; at < tap.rows.end; ++at) {
        const float *from = x + tinyml_train_in_pixel(l, &tap, n, at) * l->in_channels;
        float *to = y + tinyml_train_out_pixel(l, &tap, n, at) * l->out_channels;
        for (int32_t p = tap.columns.begin; p < tap.columns.end; ++p) {
          const float *w = weights;
          for (int32_t c = 0; c < l->in_channels; ++c) {
            for (int32_t m = 0; m < l->multiplier; ++m) *to++ += from[c] * *w++;
          }
          from += l->window.stride_x * l->in_channels;
        }
      }
    }
  }
  tinyml_train_limit(y, pixels * l->out_channels, op->act_min, op->act_max);
}
