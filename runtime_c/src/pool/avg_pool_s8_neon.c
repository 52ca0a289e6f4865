#include "tinyml_kernels.h"
#include "tinyml_neon_sums.h"
#include "tinyml_window.h"

void tinyml_avg_pool_s8_neon(const tinyml_pool_s8_op *op, const tinyml_span *span,
                             const int8_t *const *rows, int8_t *out) {
  const int32_t channels = op->channels;
  int32_t inside_rows = 0;
  for (int32_t ky = 0; ky < op->filter_height; ++ky) inside_rows += rows[ky] != NULL;

  for (int32_t x = 0; x < span->out_width; ++x, out += channels) {
    const int32_t origin = x * op->stride_x - span->pad_left;
    const tinyml_taps inside = tinyml_clip(origin, span->in_width, op->filter_width, 1);
    const int32_t taps = inside.end - inside.begin;
    const int32_t first = (origin + inside.begin) * channels;
    for (int32_t channel = 0; channel < channels; channel += TINYML_NEON_STEP) {
      const int32_t n = tinyml_min(channels - channel, TINYML_NEON_STEP);
      int32x4x4_t sums = tinyml_neon_zeros();
      for (int32_t ky = 0; ky < op->filter_height; ++ky) {
        if (rows[ky] == NULL) continue;
        sums = tinyml_neon_add_pixels(sums, rows[ky] + first + channel, taps, channels, n);
      }
      tinyml_neon_put(out + channel,
                      tinyml_neon_rounded_mean(sums, inside_rows * taps, op->act_min, op->act_max),
                      n);
    }
  }
}
