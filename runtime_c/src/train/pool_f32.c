#include "tinyml_train_common.h"

void tinyml_train_pool_f32(const tinyml_train_pool_op *op, const float *gradient, float *g) {
  const tinyml_train_grid *grid = &op->patches.grid;
  const int32_t channels = op->patches.channels;
  for (int32_t n = 0; n < op->patches.images; ++n) {
    for (int32_t p = 0; p < grid->rows.count; ++p) {
      for (int32_t q = 0; q < grid->columns.count; ++q) {
        const tinyml_train_patch patch = tinyml_train_patch_at(grid, n, p, q, channels);
        const float inverse = op->inverses[patch.pixels];
        for (int32_t c = 0; c < channels; ++c) {
          const float *row = gradient + patch.first + c;
          float sum = 0.0f;
          for (int32_t i = patch.rows.begin; i < patch.rows.end; ++i) {
            const float *pixel = row;
            for (int32_t j = patch.columns.begin; j < patch.columns.end; ++j) {
              sum += *pixel;
              pixel += channels;
            }
            row += grid->columns.size * channels;
          }
          *g++ = sum * inverse;
        }
      }
    }
  }
}
