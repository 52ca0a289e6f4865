#include "tinyml_broadcast.h"
#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

static inline int8_t squared_difference(const tinyml_add_s8_op *op, int32_t a, int32_t b) {
  a = tinyml_shift_left(a - op->a_zero_point, op->left_shift);
  b = tinyml_shift_left(b - op->b_zero_point, op->left_shift);
  a = tinyml_requantize_down(a, op->a.multiplier, op->a.shift);
  b = tinyml_requantize_down(b, op->b.multiplier, op->b.shift);
  const int32_t difference = a - b; /* at most 255 * 2^7 */
  return tinyml_to_s8(
      tinyml_requantize_down(difference * difference, op->output.multiplier, op->output.shift),
      op->output_zero_point, op->act_min, op->act_max);
}

void tinyml_squared_difference_s8(const tinyml_add_s8_op *op, const tinyml_span *span,
                                  const int8_t *const *rows, int8_t *out) {
  TINYML_FOR_EACH_PAIR(&op->shape, span, rows, out, a, b, squared_difference(op, a, b));
}
