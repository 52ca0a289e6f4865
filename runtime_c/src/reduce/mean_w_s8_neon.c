#include "tinyml_kernels.h"
#include "tinyml_neon_sums.h"

void tinyml_mean_w_s8_neon(const tinyml_mean_w_s8_op *op, const tinyml_span *span,
                           const int8_t *const *rows, int8_t *out) {
  const int32_t channels = op->channels;
  for (int32_t channel = 0; channel < channels; channel += TINYML_NEON_STEP) {
    const int32_t n = tinyml_min(channels - channel, TINYML_NEON_STEP);
    const int32x4x4_t sums =
        tinyml_neon_add_pixels(tinyml_neon_zeros(), rows[0] + channel, span->in_width, channels, n);
    tinyml_neon_put(out + channel,
                    tinyml_neon_mean(sums, op->zero_points, op->output, op->output_zero_point), n);
  }
}
