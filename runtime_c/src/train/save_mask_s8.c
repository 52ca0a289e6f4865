#include "tinyml_train_common.h"

void tinyml_train_save_mask_s8(const tinyml_train_mask_s8_op *op, const int8_t *y, uint8_t *mask) {
  for (int32_t i = 0; i < op->count; i += 8) {
    const int32_t rest = op->count - i < 8 ? op->count - i : 8;
    uint32_t byte = 0;
    for (int32_t k = 0; k < rest; ++k) {
      const uint32_t inside = op->low < y[i + k] && y[i + k] < op->high;
      byte |= inside << k;
    }
    *mask++ = (uint8_t)byte;
  }
}
