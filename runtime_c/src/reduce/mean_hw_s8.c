#include <string.h>

#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

void tinyml_mean_hw_s8_begin(const tinyml_mean_hw_s8_op *op, int32_t *acc) {
  memset(acc, 0, (size_t)op->channels * sizeof *acc);
}

void tinyml_mean_hw_s8_row(const tinyml_mean_hw_s8_op *op, const int8_t *row, int32_t *acc) {
  for (int32_t x = 0; x < op->width; ++x) {
    for (int32_t channel = 0; channel < op->channels; ++channel) acc[channel] += *row++;
  }
}

void tinyml_mean_hw_s8_end(const tinyml_mean_hw_s8_op *op, const int32_t *acc, int8_t *out) {
  for (int32_t channel = 0; channel < op->channels; ++channel) {
    const int32_t sum = tinyml_sub(acc[channel], op->zero_points);
    *out++ = tinyml_to_s8(tinyml_requantize(sum, op->output.multiplier, op->output.shift),
                          op->output_zero_point, INT8_MIN, INT8_MAX);
  }
}
