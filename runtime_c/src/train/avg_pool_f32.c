#include "tinyml_train_forward.h"

void tinyml_train_avg_pool_f32(const tinyml_train_linear_f32_op *op, const float *x, float *y) {
  const tinyml_train_layer *l = &op->layer;
  const tinyml_train_window *w = &l->window;
  const int32_t channels = l->in_channels;
  for (int32_t row = 0; row < l->images * l->out_height; ++row) {
    const int32_t top = row % l->out_height * w->stride_y - w->pad_top;
    const tinyml_taps rows = tinyml_clip(top, l->in_height, w->kernel_height, 1);
    const float *image = x + row / l->out_height * l->in_height * l->in_width * channels;
    for (int32_t column = 0; column < l->out_width; ++column) {
      const int32_t left = column * w->stride_x - w->pad_left;
      const tinyml_taps columns = tinyml_clip(left, l->in_width, w->kernel_width, 1);
      const int32_t count = (rows.end - rows.begin) * (columns.end - columns.begin);
      const float inverse = 1.0f / (float)count;
      for (int32_t c = 0; c < channels; ++c) {
        float sum = 0.0f;
        for (int32_t i = rows.begin; i < rows.end; ++i) {
          for (int32_t j = columns.begin; j < columns.end; ++j) {
            sum += image[((top + i) * l->in_width + left + j) * channels + c];
          }
        }
        *y++ = tinyml_train_clamp(sum * inverse, op->act_min, op->act_max);
      }
    }
  }
}
