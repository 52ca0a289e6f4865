#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"
#include "tinyml_sums.h"

void tinyml_avg_pool_map_s8_begin(const tinyml_avg_pool_map_s8_op *op, int32_t *acc) {
  tinyml_sums_clear(acc, op->channels);
}

void tinyml_avg_pool_map_s8_row(const tinyml_avg_pool_map_s8_op *op, const int8_t *row,
                                int32_t *acc) {
  tinyml_sums_add(acc, row, op->width, op->channels);
}

void tinyml_avg_pool_map_s8_end(const tinyml_avg_pool_map_s8_op *op, const int32_t *acc,
                                int8_t *out) {
  for (int32_t channel = 0; channel < op->channels; ++channel) {
    const int32_t mean = tinyml_rounded_mean(acc[channel], op->count);
    *out++ = (int8_t)tinyml_clamp(mean, op->act_min, op->act_max);
  }
}
