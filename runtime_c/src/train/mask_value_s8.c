#include "tinyml_train_common.h"

void tinyml_train_mask_value_s8(const tinyml_train_mask_s8_op *op, const int8_t *y,
                                float *gradient) {
  for (int32_t i = 0; i < op->count; ++i) {
    if (!(op->low < y[i] && y[i] < op->high)) gradient[i] = 0.0f;
  }
}
