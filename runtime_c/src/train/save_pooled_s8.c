#include "tinyml_fixedpoint.h"
#include "tinyml_train_common.h"

void tinyml_train_save_pooled_s8(const tinyml_train_save_pooled_op *op, const int8_t *x,
                                 int8_t *saved) {
  const tinyml_train_patches *patches = &op->patches;
  for (int32_t i = 0; i < tinyml_train_patch_count(patches); ++i) {
    const tinyml_train_patch patch = tinyml_train_patch_at(&patches->grid, i, op->in_channels);
    for (int32_t c = 0; c < patches->channels; ++c) {
      int32_t sum = 0;
      TINYML_TRAIN_PATCH_PIXELS(patch, c, at) sum += x[at];
      *saved++ =
          (int8_t)(patch.pixels > 0 ? tinyml_rounded_mean(sum, patch.pixels) : op->zero_point);
    }
  }
}
