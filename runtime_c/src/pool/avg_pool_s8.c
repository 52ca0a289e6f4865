#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"
#include "tinyml_window.h"

void tinyml_avg_pool_s8(const tinyml_pool_s8_op *op, const tinyml_span *span,
                        const int8_t *const *rows, int8_t *out) {
  int32_t inside_rows = 0;
  for (int32_t ky = 0; ky < op->filter_height; ++ky) inside_rows += rows[ky] != NULL;

  for (int32_t x = 0; x < span->out_width; ++x) {
    const int32_t origin = x * op->stride_x - span->pad_left;
    const tinyml_taps inside = tinyml_clip(origin, span->in_width, op->filter_width, 1);
    const int32_t taps = inside.end - inside.begin;
    const int32_t count = inside_rows * taps;
    for (int32_t channel = 0; channel < op->channels; ++channel) {
      int32_t sum = 0;
      for (int32_t ky = 0; ky < op->filter_height; ++ky) {
        if (rows[ky] == NULL) continue;
        const int8_t *in = rows[ky] + (origin + inside.begin) * op->channels + channel;
        for (int32_t i = 0; i < taps; ++i, in += op->channels) sum += *in;
      }
      const int32_t mean = tinyml_rounded_mean(sum, count);
      *out++ = (int8_t)tinyml_clamp(mean, op->act_min, op->act_max);
    }
  }
}
