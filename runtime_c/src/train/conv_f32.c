#include "tinyml_train_forward.h"

void tinyml_train_conv_f32(const tinyml_train_linear_f32_op *op, const float *x,
                           const float *weights, const float *bias, float *y) {
  const tinyml_train_layer *l = &op->layer;
  const int32_t taps = l->window.kernel_height * l->window.kernel_width;
  const int32_t pixels = l->images * l->out_height * l->out_width;
  tinyml_train_start(y, pixels, l->out_channels, bias);
  for (int32_t k = 0; k < taps; ++k) {
    const tinyml_train_tap tap =
        tinyml_train_tap_at(l, k / l->window.kernel_width, k % l->window.kernel_width);
    for (int32_t row = 0; row < l->images * l->out_height; ++row) {
      const int32_t n = row / l->out_height, at = row % l->out_height;
      if (at < tap.rows.begin || at >= tap.rows.end) continue;
      const float *from = x + tinyml_train_in_pixel(l, &tap, n, at) * l->in_channels;
      float *to = y + tinyml_train_out_pixel(l, &tap, n, at) * l->out_channels;
      for (int32_t o = 0; o < l->out_channels; o += 4) {
        const int32_t rest = l->out_channels - o < 4 ? l->out_channels - o : 4;
        tinyml_train_add_dots(from, l->window.stride_x * l->in_channels,
                              weights + (o * taps + k) * l->in_channels, taps * l->in_channels,
                              l->in_channels, to + o, l->out_channels, rest,
                              tap.columns.end - tap.columns.begin);
      }
    }
  }
  tinyml_train_limit(y, pixels * l->out_channels, op->act_min, op->act_max);
}
