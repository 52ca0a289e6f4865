#include "tinyml_train_common.h"

void tinyml_train_pool_share_bits_f32(const tinyml_train_pool_op *op, const float *dx,
                                      const uint8_t *active, float *g) {
  const tinyml_train_grid *grid = &op->patches.grid;
  const int32_t channels = op->patches.channels;
  for (int32_t n = 0; n < op->patches.images; ++n) {
    for (int32_t p = 0; p < grid->rows.count; ++p) {
      for (int32_t q = 0; q < grid->columns.count; ++q) {
        const tinyml_train_patch patch = tinyml_train_patch_at(grid, n, p, q, channels);
        const float inverse = op->inverses[patch.pixels];
        for (int32_t c = 0; c < channels; ++c) {
          const float count = (float)tinyml_train_bits(grid, &patch, active, c, channels);
          *g++ = *dx++ * (count * inverse);
        }
      }
    }
  }
}
