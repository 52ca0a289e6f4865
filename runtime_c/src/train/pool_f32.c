#include "tinyml_train_common.h"

void tinyml_train_pool_f32(const tinyml_train_pool_op *op, const float *gradient, float *g) {
  const tinyml_train_patches *patches = &op->patches;
  for (int32_t i = 0; i < tinyml_train_patch_count(patches); ++i) {
    const tinyml_train_patch patch = tinyml_train_patch_at(&patches->grid, i, patches->channels);
    const float inverse = op->inverses[patch.pixels];
    for (int32_t c = 0; c < patches->channels; ++c) {
      *g++ = tinyml_train_patch_sum(&patch, c, gradient) * inverse;
    }
  }
}
