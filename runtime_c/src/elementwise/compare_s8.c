#include "tinyml_broadcast.h"
#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

static inline int8_t compare(const tinyml_compare_s8_op *op, int32_t a, int32_t b) {
  a = tinyml_shift_left(a - op->a_zero_point, op->left_shift);
  b = tinyml_shift_left(b - op->b_zero_point, op->left_shift);
  a = tinyml_requantize_down(a, op->a.multiplier, op->a.shift);
  b = tinyml_requantize_down(b, op->b.multiplier, op->b.shift);
  return (int8_t)(a < b ? op->less : a == b ? op->equal : op->greater);
}

void tinyml_compare_s8(const tinyml_compare_s8_op *op, const tinyml_span *span,
                       const int8_t *const *rows, int8_t *out) {
  TINYML_FOR_EACH_PAIR(&op->shape, span, rows, out, a, b, compare(op, a, b));
}
