#include "tinyml_train_common.h"

void tinyml_train_save_share_f32(const tinyml_train_share_f32_op *op, const float *y,
                                 uint8_t *share) {
  const tinyml_train_grid *grid = &op->patches.grid;
  const int32_t channels = op->patches.channels;
  for (int32_t n = 0; n < op->patches.images; ++n) {
    for (int32_t p = 0; p < grid->rows.count; ++p) {
      for (int32_t q = 0; q < grid->columns.count; ++q) {
        const tinyml_train_patch patch = tinyml_train_patch_at(grid, n, p, q, channels);
        for (int32_t c = 0; c < channels; ++c) {
          const float *row = y + patch.first + c;
          int32_t count = 0;
          for (int32_t i = patch.rows.begin; i < patch.rows.end; ++i) {
            const float *pixel = row;
            for (int32_t j = patch.columns.begin; j < patch.columns.end; ++j) {
              count += op->low < *pixel && *pixel < op->high;
              pixel += channels;
            }
            row += grid->columns.size * channels;
          }
          *share++ = (uint8_t)count;
        }
      }
    }
  }
}
