#include "tinyml_quantize.h"

void tinyml_quantize_f32_u8(const tinyml_affine_op *op, const tinyml_span *span,
                            const int8_t *const *rows, int8_t *out) {
  const float *in = (const float *)(const void *)rows[0];
  uint8_t *result = (uint8_t *)(void *)out;
  for (int32_t n = span->out_width * op->channels; n > 0; --n) {
    *result++ = (uint8_t)tinyml_quantize(op, *in++, 0, UINT8_MAX);
  }
}
