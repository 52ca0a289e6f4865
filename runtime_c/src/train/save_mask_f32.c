#include "tinyml_train_mask.h"

void tinyml_train_save_mask_f32(const tinyml_train_mask_f32_op *op, const float *y, uint8_t *mask) {
  TINYML_TRAIN_SAVE_MASK(op, y, mask)
}
