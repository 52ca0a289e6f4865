#include "tinyml_train_common.h"

void tinyml_train_mask_value_f32(const tinyml_train_mask_f32_op *op, const float *y,
                                 float *gradient) {
  for (int32_t i = 0; i < op->count; ++i) {
    if (!(op->low < y[i] && y[i] < op->high)) gradient[i] = 0.0f;
  }
}
