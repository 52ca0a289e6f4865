#include "tinyml_quantize.h"

void tinyml_quantize_f32_s16(const tinyml_affine_op *op, const tinyml_span *span,
                             const int8_t *const *rows, int8_t *out) {
  const float *in = (const float *)(const void *)rows[0];
  int16_t *result = (int16_t *)(void *)out;
  for (int32_t n = span->out_width * op->channels; n > 0; --n) {
    *result++ = (int16_t)tinyml_quantize(op, *in++, INT16_MIN, INT16_MAX);
  }
}
