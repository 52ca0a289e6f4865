#include "tinyml_train_common.h"

void tinyml_train_save_pooled_f32(const tinyml_train_save_pooled_op *op, const float *x,
                                  float *saved) {
  const tinyml_train_patches *patches = &op->patches;
  for (int32_t i = 0; i < tinyml_train_patch_count(patches); ++i) {
    const tinyml_train_patch patch = tinyml_train_patch_at(&patches->grid, i, op->in_channels);
    for (int32_t c = 0; c < patches->channels; ++c) *saved++ = tinyml_train_patch_sum(&patch, c, x);
  }
}
