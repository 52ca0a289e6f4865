#include "tinyml_kernels.h"
#include "tinyml_mve_sums.h"

void tinyml_mean_w_s8_mve(const tinyml_mean_w_s8_op *op, const tinyml_span *span,
                          const int8_t *const *rows, int8_t *out) {
  const int32_t channels = op->channels;
  for (int32_t channel = 0; channel < channels; channel += 4) {
    const mve_pred16_t p = vctp32q((uint32_t)(channels - channel));
    const int32x4_t sums =
        tinyml_mve_add_pixels(vdupq_n_s32(0), rows[0] + channel, span->in_width, channels, p);
    vstrbq_p_s32(out + channel,
                 tinyml_mve_mean(sums, op->zero_points, op->output, op->output_zero_point), p);
  }
}
