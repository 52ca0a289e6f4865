#include "tinyml_train_common.h"

void tinyml_train_avg_pool_grad(const tinyml_train_layer *op, const float *gradient, float *dx) {
  const tinyml_train_window *w = &op->window;
  const int32_t channels = op->in_channels;
  const int32_t count = op->images * op->in_height * op->in_width * channels;
  for (int32_t i = 0; i < count; ++i) dx[i] = 0.0f;
  for (int32_t k = 0; k < w->kernel_height * w->kernel_width; ++k) {
    const tinyml_train_tap tap = tinyml_train_tap_at(op, k / w->kernel_width, k % w->kernel_width);
    for (int32_t n = 0; n < op->images; ++n) {
      for (int32_t y = tap.rows.begin; y < tap.rows.end; ++y) {
        const tinyml_taps rows =
            tinyml_clip(y * w->stride_y - w->pad_top, op->in_height, w->kernel_height, 1);
        const float *g = gradient + tinyml_train_out_pixel(op, &tap, n, y) * channels;
        float *to = dx + tinyml_train_in_pixel(op, &tap, n, y) * channels;
        for (int32_t x = tap.columns.begin; x < tap.columns.end; ++x) {
          const tinyml_taps columns =
              tinyml_clip(x * w->stride_x - w->pad_left, op->in_width, w->kernel_width, 1);
          const int32_t pixels = (rows.end - rows.begin) * (columns.end - columns.begin);
          const float inverse = 1.0f / (float)pixels;
          for (int32_t c = 0; c < channels; ++c) to[c] += *g++ * inverse;
          to += w->stride_x * channels;
        }
      }
    }
  }
}
