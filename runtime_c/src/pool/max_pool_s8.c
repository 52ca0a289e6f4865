#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"
#include "tinyml_window.h"

void tinyml_max_pool_s8(const tinyml_pool_s8_op *op, const tinyml_span *span,
                        const int8_t *const *rows, int8_t *out) {
  for (int32_t x = 0; x < span->out_width; ++x) {
    const int32_t origin = x * op->stride_x - span->pad_left;
    const tinyml_taps inside = tinyml_clip(origin, span->in_width, op->filter_width, 1);
    const int32_t taps = inside.end - inside.begin;
    for (int32_t channel = 0; channel < op->channels; ++channel) {
      int32_t max = INT8_MIN;
      for (int32_t ky = 0; ky < op->filter_height; ++ky) {
        if (rows[ky] == NULL) continue;
        const int8_t *in = rows[ky] + (origin + inside.begin) * op->channels + channel;
        for (int32_t i = 0; i < taps; ++i, in += op->channels) max = tinyml_max(max, *in);
      }
      *out++ = (int8_t)tinyml_clamp(max, op->act_min, op->act_max);
    }
  }
}
