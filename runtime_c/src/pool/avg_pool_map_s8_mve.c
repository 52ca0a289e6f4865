#include "tinyml_kernels.h"
#include "tinyml_mve_sums.h"
#include "tinyml_sums.h"

void tinyml_avg_pool_map_s8_mve_begin(const tinyml_avg_pool_map_s8_op *op, int32_t *acc) {
  tinyml_sums_clear(acc, op->channels);
}

void tinyml_avg_pool_map_s8_mve_row(const tinyml_avg_pool_map_s8_op *op, const int8_t *row,
                                    int32_t *acc) {
  tinyml_mve_sums_add(acc, row, op->width, op->channels);
}

void tinyml_avg_pool_map_s8_mve_end(const tinyml_avg_pool_map_s8_op *op, const int32_t *acc,
                                    int8_t *out) {
  const tinyml_mve_divisor by = tinyml_mve_divisor_of(op->count);
  const int32x4_t low = vdupq_n_s32(op->act_min), high = vdupq_n_s32(op->act_max);
  for (int32_t left = op->channels; left > 0; left -= 4, acc += 4, out += 4) {
    const mve_pred16_t p = vctp32q((uint32_t)left);
    const int32x4_t mean = tinyml_mve_rounded_mean(vldrwq_z_s32(acc, p), by);
    vstrbq_p_s32(out, vminq_s32(vmaxq_s32(mean, low), high), p);
  }
}
