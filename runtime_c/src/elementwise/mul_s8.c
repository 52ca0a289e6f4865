#include "tinyml_broadcast.h"
#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

static inline int8_t mul(const tinyml_mul_s8_op *op, int32_t a, int32_t b) {
  const int32_t product = (a - op->a_zero_point) * (b - op->b_zero_point);
  return tinyml_to_s8(tinyml_requantize(product, op->output.multiplier, op->output.shift),
                      op->output_zero_point, op->act_min, op->act_max);
}

void tinyml_mul_s8(const tinyml_mul_s8_op *op, const tinyml_span *span, const int8_t *const *rows,
                   int8_t *out) {
  TINYML_FOR_EACH_PAIR(&op->shape, span, rows, out, a, b, mul(op, a, b));
}
