/* One product, for the kernels of multiplication. */
#ifndef TINYML_MUL_H
#define TINYML_MUL_H

#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

static inline int8_t tinyml_product(const tinyml_mul_s8_op *op, int32_t a, int32_t b) {
  const int32_t product = (a - op->a_zero_point) * (b - op->b_zero_point);
  return tinyml_to_s8(tinyml_requantize(product, op->output.multiplier, op->output.shift),
                      op->output_zero_point, op->act_min, op->act_max);
}

#endif
