/* The filters of sixteen lanes stay in registers for a whole row. With sixteen channels or more the
 * lanes are channels; with fewer they are eight channels of two neighbouring pixels. */
#include "tinyml_kernels.h"
#include "tinyml_neon_depthwise.h"
#include "tinyml_window.h"

enum { TAPS = 9, HALF = TINYML_NEON_LANES / 2 };

/* Copies what lies in the rows of the window that starts `origin` pixels into them, `lanes` lanes
 * at byte `channel` of a pixel. */
static inline void gather(const tinyml_span *span, const int8_t *const *rows, int32_t origin,
                          int32_t channels, int32_t channel, int32_t lanes, int8_t *to) {
  const tinyml_taps inside = tinyml_clip(origin, span->in_width, 3, 1);
  const int32_t first = (origin + inside.begin) * channels + channel;
  to += inside.begin * TINYML_NEON_LANES;
  for (int32_t ky = 0; ky < 3; ++ky, to += 3 * TINYML_NEON_LANES) {
    if (rows[ky] == NULL) continue;
    const int8_t *from = rows[ky] + first;
    int8_t *next = to;
    for (int32_t i = inside.begin; i < inside.end; ++i, next += TINYML_NEON_LANES) {
      if (lanes == HALF) {
        vst1_s8(next, vld1_s8(from));
      } else {
        vst1q_s8(next, vld1q_s8(from));
      }
      from += channels;
    }
  }
}

/* Sixteen lanes: a run of bytes, or two of eight so far apart. */
static inline int8x16_t load(const int8_t *from, int32_t paired, int32_t apart) {
  return paired ? vcombine_s8(vld1_s8(from), vld1_s8(from + apart)) : vld1q_s8(from);
}

/* The lanes at `channel` of a row. Inline, so that `paired` is a constant. */
__attribute__((always_inline)) static inline void lanes(
    const tinyml_depthwise_conv_3x3_s8_neon_op *op, const tinyml_span *span,
    const int8_t *const *rows, const int32_t *block, int32_t channel, int32_t paired, int8_t *out) {
  const tinyml_neon_filters *f = &op->filters;
  const tinyml_neon_limits limits =
      tinyml_neon_limits_of(f->output_zero_point, f->act_min, f->act_max);
  const int32x4x4_t biases = tinyml_neon_words(block);
  const tinyml_neon_scales scales = tinyml_neon_scales_at(block + TINYML_NEON_LANES);
  const int8_t *weights = (const int8_t *)(block + 4 * TINYML_NEON_LANES);
  const int8x16_t w0 = vld1q_s8(weights), w1 = vld1q_s8(weights + 16);
  const int8x16_t w2 = vld1q_s8(weights + 32), w3 = vld1q_s8(weights + 48);
  const int8x16_t w4 = vld1q_s8(weights + 64), w5 = vld1q_s8(weights + 80);
  const int8x16_t w6 = vld1q_s8(weights + 96), w7 = vld1q_s8(weights + 112);
  const int8x16_t w8 = vld1q_s8(weights + 128);
  const int32_t channels = f->out_channels, stride = op->stride_x, width = span->out_width;
  const int whole = rows[0] != NULL && rows[1] != NULL && rows[2] != NULL;
  int8_t copy[TAPS * TINYML_NEON_LANES];
  for (int32_t x = 0; x < width; x += 1 + paired) {
    const int32_t second = paired ? tinyml_min(1, width - 1 - x) : 0;
    const int32_t origin = x * stride - span->pad_left;
    const int8_t *a = copy, *b = copy + 3 * TINYML_NEON_LANES, *c = copy + 6 * TINYML_NEON_LANES;
    int32_t column = TINYML_NEON_LANES, apart = HALF;
    if (whole && origin >= 0 && origin + second * stride + 3 <= span->in_width) {
      const int32_t offset = origin * channels + channel;
      a = rows[0] + offset;
      b = rows[1] + offset;
      c = rows[2] + offset;
      column = channels;
      apart = second * stride * channels;
    } else {
      /* Padding becomes zero points, whose share the biases take away. */
      memset(copy, op->input_zero_point, sizeof copy);
      gather(span, rows, origin, channels, channel, paired ? HALF : TINYML_NEON_LANES, copy);
      if (paired) {
        gather(span, rows, origin + second * stride, channels, channel, HALF, copy + HALF);
      }
    }
    int32x4x4_t sums = biases;
#define TINYML_AT(row, kx) load(row + (kx)*column, paired, apart)
    sums = tinyml_neon_taps(sums, TINYML_AT(a, 0), w0, TINYML_AT(a, 1), w1);
    sums = tinyml_neon_taps(sums, TINYML_AT(a, 2), w2, TINYML_AT(b, 0), w3);
    sums = tinyml_neon_taps(sums, TINYML_AT(b, 1), w4, TINYML_AT(b, 2), w5);
    sums = tinyml_neon_taps(sums, TINYML_AT(c, 0), w6, TINYML_AT(c, 1), w7);
    sums = tinyml_neon_tap(sums, TINYML_AT(c, 2), w8);
    const int8x16_t result = tinyml_neon_finish(sums, &scales, &limits);
    int8_t *const to = out + x * channels + channel;
    if (paired) {
      vst1_s8(to, vget_low_s8(result));
      vst1_s8(to + second * channels, vget_high_s8(result));
    } else {
      vst1q_s8(to, result);
    }
  }
}

void tinyml_depthwise_conv_3x3_s8_neon(const tinyml_depthwise_conv_3x3_s8_neon_op *op,
                                       const tinyml_span *span, const int8_t *const *rows,
                                       int8_t *out) {
  const int32_t channels = op->filters.out_channels;
  const int32_t *block = op->filters.blocks;
  const int32_t words = 4 * TINYML_NEON_LANES + TAPS * TINYML_NEON_LANES / 4;
  if (channels < TINYML_NEON_LANES) {
    for (int32_t next = 0; next < channels; next += HALF, block += words) {
      lanes(op, span, rows, block, tinyml_min(next, channels - HALF), 1, out);
    }
    return;
  }
  for (int32_t next = 0; next < channels; next += TINYML_NEON_LANES, block += words) {
    lanes(op, span, rows, block, tinyml_min(next, channels - TINYML_NEON_LANES), 0, out);
  }
}
