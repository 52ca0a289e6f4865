#include "tinyml_kernels.h"
#include "tinyml_neon_depthwise.h"
#include "tinyml_window.h"

/* Points at the taps of the window that starts `origin` pixels into the rows, in the order of the
 * weights; those in the padding are zero points, whose share the biases take away. */
static void point(const tinyml_depthwise_conv_s8_neon_op *op, const tinyml_span *span,
                  const int8_t *const *rows, int32_t origin, const int8_t *padding,
                  const int8_t **taps) {
  const int32_t width = op->kernel_width, channels = op->filters.out_channels;
  const tinyml_taps inside = tinyml_clip(origin, span->in_width, width, op->dilation_x);
  for (int32_t ky = 0; ky < op->kernel_height; ++ky) {
    const int32_t end = rows[ky] == NULL ? 0 : inside.end;
    int32_t i = 0;
    for (; i < tinyml_min(inside.begin, end); ++i) *taps++ = padding;
    for (; i < end; ++i) *taps++ = rows[ky] + (origin + i * op->dilation_x) * channels;
    for (; i < width; ++i) *taps++ = padding;
  }
}

/* One output pixel from its taps. */
static void pixel(const tinyml_neon_filters *f, const tinyml_neon_limits *limits,
                  const int8_t *const *taps, int32_t count, int8_t *out) {
  const int32_t last = f->out_channels - TINYML_NEON_LANES;
  const int32_t *block = f->blocks;
  for (int32_t next = 0; next < f->out_channels; next += TINYML_NEON_LANES) {
    const int32_t channel = tinyml_min(next, last);
    const int8_t *w = (const int8_t *)(block + 4 * TINYML_NEON_LANES);
    int32x4x4_t sums = tinyml_neon_words(block);
    int32_t i = 0;
    for (; i + 2 <= count; i += 2, w += 2 * TINYML_NEON_LANES) {
      sums = tinyml_neon_taps(sums, vld1q_s8(taps[i] + channel), vld1q_s8(w),
                              vld1q_s8(taps[i + 1] + channel), vld1q_s8(w + TINYML_NEON_LANES));
    }
    if (i < count) {
      sums = tinyml_neon_tap(sums, vld1q_s8(taps[i] + channel), vld1q_s8(w));
      w += TINYML_NEON_LANES;
    }
    const tinyml_neon_scales scales = tinyml_neon_scales_at(block + TINYML_NEON_LANES);
    vst1q_s8(out + channel, tinyml_neon_finish(sums, &scales, limits));
    block = (const int32_t *)(const void *)w;
  }
}

void tinyml_depthwise_conv_s8_neon(const tinyml_depthwise_conv_s8_neon_op *op,
                                   const tinyml_span *span, const int8_t *const *rows, int8_t *out,
                                   void *scratch) {
  const tinyml_neon_filters *f = &op->filters;
  const tinyml_neon_limits limits =
      tinyml_neon_limits_of(f->output_zero_point, f->act_min, f->act_max);
  const int32_t count = op->kernel_height * op->kernel_width;
  const int8_t **taps = scratch;
  int8_t *padding = (int8_t *)(taps + count);
  memset(padding, op->input_zero_point, (size_t)f->out_channels);
  for (int32_t x = 0; x < span->out_width; ++x, out += f->out_channels) {
    point(op, span, rows, x * op->stride_x - span->pad_left, padding, taps);
    pixel(f, &limits, taps, count, out);
  }
}
