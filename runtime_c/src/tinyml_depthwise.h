/* Depthwise convolution with a square kernel of TINYML_DEPTHWISE_SIZE (3, 5 or 7) taps a side,
 * stride 1 or 2 along the row, one output channel for each input channel. Each kernel's file
 * defines the size and includes this.
 *
 * Four neighbouring output pixels are computed together, channel by channel, so that each weight
 * serves four multiplications, and each element all windows that see it. A table of pointers says
 * where the pixels of the four windows are; those in the padding are zero points, whose share the
 * biases take away. So borders cost what everything else costs.
 */
#ifndef TINYML_DEPTHWISE_H
#define TINYML_DEPTHWISE_H

#include <string.h>

#include "tinyml_filters.h"
#include "tinyml_kernels.h"
#include "tinyml_window.h"

enum {
  SIZE = TINYML_DEPTHWISE_SIZE,
  PIXELS = 4,                        /* output pixels computed together */
  COLUMNS = SIZE + 2 * (PIXELS - 1), /* that their windows span at stride 2 */
  RUN = 32                           /* channels that share a table */
};

/* What four pixels, or one, are computed from. */
typedef struct {
  const int8_t *pixels[SIZE * COLUMNS]; /* row by row */
  int32_t count;                        /* of output pixels */
  int32_t step;                         /* from one output to the next */
  int32_t output_zero_point;
  int32_t act_min;
  int32_t act_max;
  uint32_t bias; /* these three for one channel */
  int32_t multiplier;
  int32_t shift;
  int32_t sums[PIXELS];
} block;

/* Points at `columns` pixels of every row, from pixel `origin` on, at channel `channel`. */
static void point(const int8_t **pixels, int32_t columns, const int8_t *const *rows, int32_t origin,
                  int32_t width, int32_t channels, int32_t channel, const int8_t *padding) {
  const tinyml_taps inside = tinyml_clip(origin, width, columns, 1);
  for (int32_t ky = 0; ky < SIZE; ++ky) {
    const int8_t *row = rows[ky];
    const int32_t end = row == NULL ? 0 : inside.end;
    int32_t i = 0, offset = (origin + inside.begin) * channels + channel;
    for (; i < tinyml_min(inside.begin, end); ++i) *pixels++ = padding;
    for (; i < end; ++i, offset += channels) *pixels++ = row + offset;
    for (; i < columns; ++i) *pixels++ = padding;
  }
}

/* Makes outputs of one channel's sums. */
static void finish(const block *b, int8_t *out) {
  const uint32_t bias = b->bias;
  const int32_t multiplier = b->multiplier, shift = b->shift;
  const int32_t zero_point = b->output_zero_point, low = b->act_min, high = b->act_max;
  const int32_t step = b->step;
  const int32_t *next = b->sums;
  const int32_t *const end = next + b->count;
  if (shift <= -2) {
    for (; next < end; ++next, out += step) {
      const int32_t sum = (int32_t)((uint32_t)*next + bias);
      const int32_t x = tinyml_requantize_far_down(sum, multiplier, shift);
      *out = tinyml_to_s8(x, zero_point, low, high);
    }
  } else {
    for (; next < end; ++next, out += step) {
      const int32_t sum = (int32_t)((uint32_t)*next + bias);
      const int32_t x = tinyml_requantize(sum, multiplier, shift);
      *out = tinyml_to_s8(x, zero_point, low, high);
    }
  }
}

/* Sums the products of one channel's windows and finishes them. Called through a pointer, so that
 * it has all registers for itself. The sums are signed: they are small, and compilers keep to the
 * order of signed additions, which is the one that needs the fewest registers. */
typedef void windows(block *b, const TINYML_FLASH int8_t *weights, int32_t channel, int8_t *out);

/* One row of the four windows, unrolled: all conditions are constant. */
#define TINYML_TAP(sum, tap) \
  if ((tap) >= 0 && (tap) < SIZE) sum += value * weights[tap]

#define TINYML_COLUMN(column, stride)              \
  if ((column) < SIZE + (PIXELS - 1) * (stride)) { \
    const int32_t value = pixels[column][channel]; \
    TINYML_TAP(p, (column));                       \
    TINYML_TAP(q, (column) - (stride));            \
    TINYML_TAP(r, (column)-2 * (stride));          \
    TINYML_TAP(s, (column)-3 * (stride));          \
  }

#define TINYML_ROW(stride)                  \
  TINYML_COLUMN(0, stride)                  \
  TINYML_COLUMN(1, stride)                  \
  TINYML_COLUMN(2, stride)                  \
  TINYML_COLUMN(3, stride)                  \
  TINYML_COLUMN(4, stride)                  \
  TINYML_COLUMN(5, stride)                  \
  TINYML_COLUMN(6, stride)                  \
  TINYML_COLUMN(7, stride)                  \
  TINYML_COLUMN(8, stride)                  \
  TINYML_COLUMN(9, stride)                  \
  TINYML_COLUMN(10, stride)                 \
  TINYML_COLUMN(11, stride)                 \
  TINYML_COLUMN(12, stride)                 \
  pixels += SIZE + (PIXELS - 1) * (stride); \
  weights += SIZE;

#if TINYML_DEPTHWISE_SIZE == 3
#define TINYML_ROWS(row, stride) row(stride) row(stride) row(stride)
#else
#define TINYML_ROWS(row, stride)          \
  for (int32_t ky = 0; ky < SIZE; ++ky) { \
    row(stride)                           \
  }
#endif

#define TINYML_FOUR(stride)                \
  const int8_t *const *pixels = b->pixels; \
  int32_t p = 0, q = 0, r = 0, s = 0;      \
  TINYML_ROWS(TINYML_ROW, stride)          \
  b->sums[0] = p;                          \
  b->sums[1] = q;                          \
  b->sums[2] = r;                          \
  b->sums[3] = s;                          \
  finish(b, out);

static void four_at_stride_1(block *b, const TINYML_FLASH int8_t *weights, int32_t channel,
                             int8_t *out) {
  TINYML_FOUR(1)
}

static void four_at_stride_2(block *b, const TINYML_FLASH int8_t *weights, int32_t channel,
                             int8_t *out) {
  TINYML_FOUR(2)
}

#define TINYML_ONE(tap) \
  if ((tap) < SIZE) sum += pixels[tap][channel] * weights[tap];

#define TINYML_ONE_ROW(stride) \
  TINYML_ONE(0)                \
  TINYML_ONE(1)                \
  TINYML_ONE(2)                \
  TINYML_ONE(3)                \
  TINYML_ONE(4)                \
  TINYML_ONE(5)                \
  TINYML_ONE(6)                \
  pixels += SIZE;              \
  weights += SIZE;

static void one(block *b, const TINYML_FLASH int8_t *weights, int32_t channel, int8_t *out) {
  const int8_t *const *pixels = b->pixels;
  int32_t sum = 0;
  TINYML_ROWS(TINYML_ONE_ROW, 1)
  b->sums[0] = sum;
  finish(b, out);
}

static inline void depthwise(const tinyml_depthwise_conv_square_s8_op *op, const tinyml_span *span,
                             const int8_t *const *rows, int8_t *out) {
  const tinyml_filters *f = &op->filters;
  const int32_t channels = f->out_channels;
  const int32_t stride = op->stride_x;
  const int32_t next_scale = f->per_channel ? 1 : 0;
  int8_t padding[RUN];
  block b;
  memset(padding, (int8_t)op->input_zero_point, sizeof padding);
  b.step = channels;
  b.output_zero_point = f->output_zero_point;
  b.act_min = f->act_min;
  b.act_max = f->act_max;
  for (int32_t x = 0; x < span->out_width; x += PIXELS) {
    b.count = tinyml_min(span->out_width - x, PIXELS);
    const int32_t columns = SIZE + (b.count == 1 ? 0 : PIXELS - 1) * stride;
    windows *const sum = b.count == 1 ? one : stride == 1 ? four_at_stride_1 : four_at_stride_2;
    const TINYML_FLASH int8_t *weights = f->weights;
    const TINYML_FLASH int32_t *multiplier = f->multipliers;
    const TINYML_FLASH int8_t *shift = f->shifts;
    for (int32_t channel = 0; channel < channels; ++channel) {
      const int32_t lane = channel % RUN;
      if (lane == 0) {
        point(b.pixels, columns, rows, x * stride - span->pad_left, span->in_width, channels,
              channel, padding);
      }
      b.bias = (uint32_t)f->biases[channel];
      b.multiplier = *multiplier;
      b.shift = *shift;
      sum(&b, weights, lane, out + channel);
      weights += SIZE * SIZE;
      multiplier += next_scale;
      shift += next_scale;
    }
    out += b.count * channels;
  }
}

#endif
