#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"
#include "tinyml_sums.h"

void tinyml_mean_hw_s8_begin(const tinyml_mean_hw_s8_op *op, int32_t *acc) {
  tinyml_sums_clear(acc, op->channels);
}

void tinyml_mean_hw_s8_row(const tinyml_mean_hw_s8_op *op, const int8_t *row, int32_t *acc) {
  tinyml_sums_add(acc, row, op->width, op->channels);
}

void tinyml_mean_hw_s8_end(const tinyml_mean_hw_s8_op *op, const int32_t *acc, int8_t *out) {
  for (int32_t channel = 0; channel < op->channels; ++channel) {
    const int32_t sum = tinyml_sub(acc[channel], op->zero_points);
    *out++ = tinyml_to_s8(tinyml_requantize(sum, op->output.multiplier, op->output.shift),
                          op->output_zero_point, INT8_MIN, INT8_MAX);
  }
}
