#include "tinyml_fixedpoint.h"
#include "tinyml_train_common.h"

void tinyml_train_save_pooled_s8(const tinyml_train_save_pooled_op *op, const int8_t *x,
                                 int8_t *saved) {
  const tinyml_train_grid *grid = &op->patches.grid;
  for (int32_t n = 0; n < op->patches.images; ++n) {
    for (int32_t p = 0; p < grid->rows.count; ++p) {
      for (int32_t q = 0; q < grid->columns.count; ++q) {
        const tinyml_train_patch patch = tinyml_train_patch_at(grid, n, p, q, op->in_channels);
        for (int32_t c = 0; c < op->patches.channels; ++c) {
          const int8_t *row = x + patch.first + c;
          int32_t sum = 0;
          for (int32_t i = patch.rows.begin; i < patch.rows.end; ++i) {
            const int8_t *pixel = row;
            for (int32_t j = patch.columns.begin; j < patch.columns.end; ++j) {
              sum += *pixel;
              pixel += op->in_channels;
            }
            row += grid->columns.size * op->in_channels;
          }
          *saved++ =
              (int8_t)(patch.pixels > 0 ? tinyml_rounded_mean(sum, patch.pixels) : op->zero_point);
        }
      }
    }
  }
}
