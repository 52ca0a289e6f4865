#include "tinyml_extremes.h"
#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

void tinyml_reduce_max_s8(const tinyml_reduce_s8_op *op, const int8_t *in, int8_t *out) {
  TINYML_REDUCE(op, in, out, tinyml_max);
}
