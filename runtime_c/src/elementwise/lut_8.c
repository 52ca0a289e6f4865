#include "tinyml_kernels.h"

void tinyml_lut_8(const tinyml_lut_8_op *op, const tinyml_span *span, const int8_t *const *rows,
                  int8_t *out) {
  const int8_t *in = rows[0];
  const TINYML_FLASH int8_t *table = op->table;
  for (int32_t n = span->out_width * op->channels; n > 0; --n) *out++ = table[(uint8_t)*in++];
}
