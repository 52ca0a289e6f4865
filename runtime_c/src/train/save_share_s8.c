#include "tinyml_train_common.h"

void tinyml_train_save_share_s8(const tinyml_train_share_s8_op *op, const int8_t *y,
                                uint8_t *share) {
  const tinyml_train_patches *patches = &op->patches;
  for (int32_t i = 0; i < tinyml_train_patch_count(patches); ++i) {
    const tinyml_train_patch patch = tinyml_train_patch_at(&patches->grid, i, patches->channels);
    for (int32_t c = 0; c < patches->channels; ++c) {
      int32_t count = 0;
      TINYML_TRAIN_PATCH_PIXELS(patch, c, at) count += op->low < y[at] && y[at] < op->high;
      *share++ = (uint8_t)count;
    }
  }
}
