#include "tinyml_train_mask.h"

void tinyml_train_save_share_f32(const tinyml_train_share_f32_op *op, const float *y,
                                 uint8_t *share) {
  TINYML_TRAIN_SAVE_SHARE(op, y, share)
}
