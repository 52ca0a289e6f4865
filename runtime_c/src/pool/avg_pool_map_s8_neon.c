#include "tinyml_kernels.h"
#include "tinyml_neon_sums.h"
#include "tinyml_sums.h"

void tinyml_avg_pool_map_s8_neon_begin(const tinyml_avg_pool_map_s8_op *op, int32_t *acc) {
  tinyml_sums_clear(acc, op->channels);
}

void tinyml_avg_pool_map_s8_neon_row(const tinyml_avg_pool_map_s8_op *op, const int8_t *row,
                                     int32_t *acc) {
  tinyml_neon_sums_add(acc, row, op->width, op->channels);
}

void tinyml_avg_pool_map_s8_neon_end(const tinyml_avg_pool_map_s8_op *op, const int32_t *acc,
                                     int8_t *out) {
  for (int32_t channel = 0; channel < op->channels; channel += TINYML_NEON_STEP) {
    const int32_t n = tinyml_min(op->channels - channel, TINYML_NEON_STEP);
    tinyml_neon_put(out + channel,
                    tinyml_neon_rounded_mean(tinyml_neon_sums_at(acc + channel, n), op->count,
                                             op->act_min, op->act_max),
                    n);
  }
}
