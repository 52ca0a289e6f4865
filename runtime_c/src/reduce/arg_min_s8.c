#include "tinyml_kernels.h"

void tinyml_arg_min_s8(const tinyml_arg_max_s8_op *op, const int8_t *in, int32_t *out) {
  for (int32_t outer = 0; outer < op->outer; ++outer) {
    for (int32_t inner = 0; inner < op->inner; ++inner) {
      const int8_t *x = in + outer * op->depth * op->inner + inner;
      int32_t best = 0;
      int8_t min = *x;
      for (int32_t i = 1; i < op->depth; ++i) {
        x += op->inner;
        if (*x < min) {
          min = *x;
          best = i;
        }
      }
      *out++ = best;
    }
  }
}
