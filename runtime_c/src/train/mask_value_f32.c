#include "tinyml_train_mask.h"

void tinyml_train_mask_value_f32(const tinyml_train_mask_f32_op *op, const float *y,
                                 float *gradient) {
  TINYML_TRAIN_MASK_VALUE(op, y, gradient)
}
