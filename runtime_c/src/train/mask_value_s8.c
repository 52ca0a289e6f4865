#include "tinyml_train_mask.h"

void tinyml_train_mask_value_s8(const tinyml_train_mask_s8_op *op, const int8_t *y,
                                float *gradient) {
  TINYML_TRAIN_MASK_VALUE(op, y, gradient)
}
