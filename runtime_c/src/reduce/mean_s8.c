#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

static int32_t sum_of(const tinyml_mean_s8_op *op, const int8_t *in) {
  const TINYML_FLASH int32_t *n = op->reduced_sizes;
  const TINYML_FLASH int32_t *stride = op->reduced_strides;
  int32_t sum = 0;
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      const int8_t *x = in + i * stride[0] + j * stride[1];
      for (int32_t k = 0; k < n[2]; ++k, x += stride[2]) sum += *x;
    }
  }
  return sum;
}

void tinyml_mean_s8(const tinyml_mean_s8_op *op, const int8_t *in, int8_t *out) {
  const TINYML_FLASH int32_t *n = op->kept_sizes;
  const TINYML_FLASH int32_t *stride = op->kept_strides;
  for (int32_t i = 0; i < n[0]; ++i) {
    for (int32_t j = 0; j < n[1]; ++j) {
      for (int32_t k = 0; k < n[2]; ++k) {
        const int32_t sum = sum_of(op, in + i * stride[0] + j * stride[1] + k * stride[2]);
        *out++ = tinyml_to_s8(tinyml_requantize(tinyml_sub(sum, op->zero_points),
                                                op->output.multiplier, op->output.shift),
                              op->output_zero_point, INT8_MIN, INT8_MAX);
      }
    }
  }
}
