#include "tinyml_train_common.h"

void tinyml_train_save_pooled_f32(const tinyml_train_save_pooled_op *op, const float *x,
                                  float *saved) {
  const tinyml_train_grid *grid = &op->patches.grid;
  for (int32_t n = 0; n < op->patches.images; ++n) {
    for (int32_t p = 0; p < grid->rows.count; ++p) {
      for (int32_t q = 0; q < grid->columns.count; ++q) {
        const tinyml_train_patch patch = tinyml_train_patch_at(grid, n, p, q, op->in_channels);
        for (int32_t c = 0; c < op->patches.channels; ++c) {
          const float *row = x + patch.first + c;
          float sum = 0.0f;
          for (int32_t i = patch.rows.begin; i < patch.rows.end; ++i) {
            const float *pixel = row;
            for (int32_t j = patch.columns.begin; j < patch.columns.end; ++j) {
              sum += *pixel;
              pixel += op->in_channels;
            }
            row += grid->columns.size * op->in_channels;
          }
          *saved++ = sum;
        }
      }
    }
  }
}
