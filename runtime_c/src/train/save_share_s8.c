#include "tinyml_train_mask.h"

void tinyml_train_save_share_s8(const tinyml_train_share_s8_op *op, const int8_t *y,
                                uint8_t *share) {
  TINYML_TRAIN_SAVE_SHARE(op, y, share)
}
