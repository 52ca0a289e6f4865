#include "tinyml_train_mask.h"

void tinyml_train_save_mask_s8(const tinyml_train_mask_s8_op *op, const int8_t *y, uint8_t *mask) {
  TINYML_TRAIN_SAVE_MASK(op, y, mask)
}
