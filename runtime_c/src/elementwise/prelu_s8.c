#include "tinyml_broadcast.h"
#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

static inline int8_t prelu(const tinyml_prelu_s8_op *op, int32_t a, int32_t b) {
  const tinyml_scale *scale = &op->positive;
  a -= op->a_zero_point;
  if (a < 0) {
    a *= b - op->b_zero_point;
    scale = &op->negative;
  }
  return tinyml_to_s8(tinyml_requantize(a, scale->multiplier, scale->shift), op->output_zero_point,
                      INT8_MIN, INT8_MAX);
}

void tinyml_prelu_s8(const tinyml_prelu_s8_op *op, const tinyml_span *span,
                     const int8_t *const *rows, int8_t *out) {
  TINYML_FOR_EACH_PAIR(&op->shape, span, rows, out, a, b, prelu(op, a, b));
}
