#include "tinyml_quantize.h"

void tinyml_quantize_f32_s8(const tinyml_affine_op *op, const tinyml_span *span,
                            const int8_t *const *rows, int8_t *out) {
  const float *in = (const float *)(const void *)rows[0];
  int8_t *result = (int8_t *)(void *)out;
  for (int32_t n = span->out_width * op->channels; n > 0; --n) {
    *result++ = (int8_t)tinyml_quantize(op, *in++, INT8_MIN, INT8_MAX);
  }
}
