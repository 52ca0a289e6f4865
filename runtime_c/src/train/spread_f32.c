#include <string.h>

#include "tinyml_train_common.h"

void tinyml_train_spread_f32(const tinyml_train_patches *op, const float *patches, float *dx) {
  const tinyml_train_blocks *rows = &op->grid.rows, *columns = &op->grid.columns;
  const int32_t channels = op->channels;
  for (int32_t n = 0; n < op->images; ++n) {
    for (int32_t y = 0; y < rows->size; ++y) {
      for (int32_t x = 0; x < columns->size; ++x, dx += channels) {
        const int32_t p = y + rows->pad, q = x + columns->pad;
        const int inside = p >= 0 && q >= 0 && p < rows->count * rows->extent &&
                           q < columns->count * columns->extent;
        if (!inside) {
          for (int32_t c = 0; c < channels; ++c) dx[c] = 0.0f;
          continue;
        }
        const int32_t row = n * rows->count + p / rows->extent;
        const float *patch = patches + (row * columns->count + q / columns->extent) * channels;
        memcpy(dx, patch, (size_t)channels * sizeof *dx);
      }
    }
  }
}
