#include <string.h>

#include "tinyml_train.h"

void tinyml_train_copy(const tinyml_train_copy_op *op, const void *from, void *to) {
  const uint8_t *source = (const uint8_t *)from + op->from_offset;
  uint8_t *result = (uint8_t *)to + op->to_offset;
  if (source == result) return;
  for (int32_t row = 0; row < op->rows; ++row) {
    memcpy(result, source, (size_t)op->bytes);
    source += op->from_stride;
    result += op->to_stride;
  }
}
