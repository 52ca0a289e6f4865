#include "tinyml_train_common.h"

void tinyml_train_mask_bits(const tinyml_train_count_op *op, const uint8_t *mask, float *gradient) {
  for (int32_t i = 0; i < op->count; ++i) {
    if (((mask[i >> 3] >> (i & 7)) & 1) == 0) gradient[i] = 0.0f;
  }
}
