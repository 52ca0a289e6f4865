#include "tinyml_kernels.h"

void tinyml_dequantize_s16_f32(const tinyml_affine_op *op, const tinyml_span *span,
                               const int8_t *const *rows, int8_t *out) {
  const int16_t *in = (const int16_t *)(const void *)rows[0];
  float *result = (float *)(void *)out;
  for (int32_t n = span->out_width * op->channels; n > 0; --n) {
    *result++ = op->scale * (float)(*in++ - op->zero_point);
  }
}
