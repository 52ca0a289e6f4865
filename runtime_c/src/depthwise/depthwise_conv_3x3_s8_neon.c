/* The filters of sixteen lanes stay in registers for a whole row. With sixteen channels or more the
 * lanes are channels; with fewer they are eight channels of two neighbouring pixels. */
#include "tinyml_kernels.h"
#include "tinyml_neon_depthwise.h"

enum { TAPS = 9 };

/* Where the windows of the two halves of the lanes begin in each row, and how far their columns are
 * apart. */
typedef struct {
  const int8_t *low[3];
  int32_t high; /* from there to those of the high half */
  int32_t column;
} windows;

static inline int8x16_t load(const int8_t *from, int32_t high) {
  return vcombine_s8(vld1_s8(from), vld1_s8(from + high));
}

/* Copies the window of eight lanes that starts `origin` pixels into the rows; what is padding
 * becomes zero points, whose share the biases take away. */
static void gather(const tinyml_depthwise_conv_3x3_s8_neon_op *op, const tinyml_span *span,
                   const int8_t *const *rows, int32_t origin, int32_t channel, int8_t *to) {
  for (int32_t ky = 0; ky < 3; ++ky) {
    for (int32_t x = origin; x < origin + 3; ++x, to += TINYML_NEON_LANES) {
      const int inside = rows[ky] != NULL && x >= 0 && x < span->in_width;
      vst1_s8(to, inside ? vld1_s8(rows[ky] + x * op->filters.out_channels + channel)
                         : vdup_n_s8((int8_t)op->input_zero_point));
    }
  }
}

/* The lanes at `channel` of a row. */
static inline void lanes(const tinyml_depthwise_conv_3x3_s8_neon_op *op, const tinyml_span *span,
                         const int8_t *const *rows, const int32_t *block, int32_t channel,
                         int32_t paired, int8_t *out) {
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
  const int32_t channels = f->out_channels, stride = op->stride_x;
  const int whole = rows[0] != NULL && rows[1] != NULL && rows[2] != NULL;
  int8_t copy[TAPS * TINYML_NEON_LANES];
  for (int32_t x = 0; x < span->out_width; x += 1 + paired) {
    const int32_t second = paired ? tinyml_min(1, span->out_width - 1 - x) : 0;
    const int32_t origin = x * stride - span->pad_left;
    windows at = {{copy, copy + 48, copy + 96}, 8, TINYML_NEON_LANES};
    if (whole && origin >= 0 && origin + second * stride + 3 <= span->in_width) {
      const int32_t offset = origin * channels + channel;
      for (int32_t ky = 0; ky < 3; ++ky) at.low[ky] = rows[ky] + offset;
      at.high = paired ? second * stride * channels : 8;
      at.column = channels;
    } else {
      gather(op, span, rows, origin, channel, copy);
      gather(op, span, rows, origin + second * stride, channel + (paired ? 0 : 8), copy + 8);
    }
#define TINYML_AT(ky, kx) \
  (paired ? load(at.low[ky] + (kx)*at.column, at.high) : vld1q_s8(at.low[ky] + (kx)*at.column))
    int32x4x4_t sums = biases;
    sums = tinyml_neon_taps(sums, TINYML_AT(0, 0), w0, TINYML_AT(0, 1), w1);
    sums = tinyml_neon_taps(sums, TINYML_AT(0, 2), w2, TINYML_AT(1, 0), w3);
    sums = tinyml_neon_taps(sums, TINYML_AT(1, 1), w4, TINYML_AT(1, 2), w5);
    sums = tinyml_neon_taps(sums, TINYML_AT(2, 0), w6, TINYML_AT(2, 1), w7);
    sums = tinyml_neon_tap(sums, TINYML_AT(2, 2), w8);
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
    for (int32_t next = 0; next < channels; next += 8, block += words) {
      lanes(op, span, rows, block, tinyml_min(next, channels - 8), 1, out);
    }
    return;
  }
  for (int32_t next = 0; next < channels; next += TINYML_NEON_LANES, block += words) {
    lanes(op, span, rows, block, tinyml_min(next, channels - TINYML_NEON_LANES), 0, out);
  }
}
