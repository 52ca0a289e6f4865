#include "tinyml_kernels.h"
#include "tinyml_neon_sums.h"
#include "tinyml_window.h"

void tinyml_max_pool_s8_neon(const tinyml_pool_s8_op *op, const tinyml_span *span,
                             const int8_t *const *rows, int8_t *out) {
  const int32_t channels = op->channels;
  const int8x16_t low = vdupq_n_s8((int8_t)op->act_min), high = vdupq_n_s8((int8_t)op->act_max);
  for (int32_t x = 0; x < span->out_width; ++x, out += channels) {
    const int32_t origin = x * op->stride_x - span->pad_left;
    const tinyml_taps inside = tinyml_clip(origin, span->in_width, op->filter_width, 1);
    const int32_t first = (origin + inside.begin) * channels;
    for (int32_t channel = 0; channel < channels; channel += TINYML_NEON_STEP) {
      const int32_t n = channels - channel;
      int8x16_t max = low;
      for (int32_t ky = 0; ky < op->filter_height; ++ky) {
        if (rows[ky] == NULL) continue;
        const int8_t *in = rows[ky] + first + channel;
        for (int32_t i = inside.begin; i < inside.end; ++i, in += channels) {
          max = vmaxq_s8(max, tinyml_neon_load(in, n));
        }
      }
      tinyml_neon_put(out + channel, vminq_s8(max, high), n);
    }
  }
}
