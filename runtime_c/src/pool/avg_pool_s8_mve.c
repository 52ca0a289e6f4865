#include "tinyml_kernels.h"
#include "tinyml_mve_sums.h"
#include "tinyml_window.h"

void tinyml_avg_pool_s8_mve(const tinyml_pool_s8_op *op, const tinyml_span *span,
                            const int8_t *const *rows, int8_t *out) {
  const int32_t channels = op->channels;
  const int32x4_t low = vdupq_n_s32(op->act_min), high = vdupq_n_s32(op->act_max);
  int32_t inside_rows = 0;
  for (int32_t ky = 0; ky < op->filter_height; ++ky) inside_rows += rows[ky] != NULL;

  for (int32_t x = 0; x < span->out_width; ++x, out += channels) {
    const int32_t origin = x * op->stride_x - span->pad_left;
    const tinyml_taps inside = tinyml_clip(origin, span->in_width, op->filter_width, 1);
    const int32_t taps = inside.end - inside.begin;
    const int32_t first = (origin + inside.begin) * channels;
    const tinyml_mve_divisor by = tinyml_mve_divisor_of(inside_rows * taps);
    for (int32_t channel = 0; channel < channels; channel += 4) {
      const mve_pred16_t p = vctp32q((uint32_t)(channels - channel));
      int32x4_t sums = vdupq_n_s32(0);
      for (int32_t ky = 0; ky < op->filter_height; ++ky) {
        if (rows[ky] == NULL) continue;
        sums = tinyml_mve_add_pixels(sums, rows[ky] + first + channel, taps, channels, p);
      }
      const int32x4_t mean = tinyml_mve_rounded_mean(sums, by);
      vstrbq_p_s32(out + channel, vminq_s32(vmaxq_s32(mean, low), high), p);
    }
  }
}
