#include "tinyml_kernels.h"
#include "tinyml_mve_sums.h"
#include "tinyml_sums.h"

void tinyml_mean_hw_s8_mve_begin(const tinyml_mean_hw_s8_op *op, int32_t *acc) {
  tinyml_sums_clear(acc, op->channels);
}

void tinyml_mean_hw_s8_mve_row(const tinyml_mean_hw_s8_op *op, const int8_t *row, int32_t *acc) {
  tinyml_mve_sums_add(acc, row, op->width, op->channels);
}

void tinyml_mean_hw_s8_mve_end(const tinyml_mean_hw_s8_op *op, const int32_t *acc, int8_t *out) {
  for (int32_t left = op->channels; left > 0; left -= 4, acc += 4, out += 4) {
    const mve_pred16_t p = vctp32q((uint32_t)left);
    vstrbq_p_s32(
        out,
        tinyml_mve_mean(vldrwq_z_s32(acc, p), op->zero_points, op->output, op->output_zero_point),
        p);
  }
}
