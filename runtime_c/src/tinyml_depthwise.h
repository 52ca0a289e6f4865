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

#include "tinyml_kernels.h"
#include "tinyml_rescale.h"
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
  const tinyml_filters *filters;
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

/* Sums the products of the windows of channels `channel` to channel + lanes - 1, and makes outputs
 * of them. Called through a pointer, so that it has all registers for itself. The sums are signed:
 * they are small, and compilers keep to the order of signed additions, which is the one that needs
 * the fewest registers. */
typedef void windows(const block *b, const int8_t *weights, int32_t channel, int32_t lanes,
                     int8_t *out);

/* The outputs of one to four sums. */
#define TINYML_FINISH(rescale, count)      \
  do {                                     \
    *out = rescale((uint32_t)p);           \
    if ((count) == 1) break;               \
    *(out += step) = rescale((uint32_t)q); \
    if ((count) == 2) break;               \
    *(out += step) = rescale((uint32_t)r); \
    if ((count) == 3) break;               \
    *(out += step) = rescale((uint32_t)s); \
  } while (0)

#define TINYML_LINE(sum) tinyml_rescale_line(&at, left, low, high, sum)

static inline __attribute__((always_inline)) void finish(const block *b, int32_t count,
                                                         int32_t channel, int32_t p, int32_t q,
                                                         int32_t r, int32_t s, int8_t *out) {
  const tinyml_filters *f = b->filters;
  const int32_t step = b->step;
  if (f->rescale == TINYML_RESCALE_LINE) {
    const tinyml_channel at = tinyml_channel_at(f, channel);
    const int32_t left = f->left, low = f->act_min, high = f->act_max;
    TINYML_FINISH(TINYML_LINE, count);
  } else {
    const int32_t sums[PIXELS] = {p, q, r, s};
    for (int32_t i = 0; i < count; ++i, out += step) {
      *out = tinyml_rescaled(f, (uint32_t)sums[i], channel);
    }
  }
}

/* One row of the four windows, unrolled: all conditions are constant. */
#define TINYML_TAP(sum, tap) \
  if ((tap) >= 0 && (tap) < SIZE) sum += value * weights[tap]

#define TINYML_COLUMN(column, stride)              \
  if ((column) < SIZE + (PIXELS - 1) * (stride)) { \
    const int32_t value = pixels[column][lane];    \
    TINYML_TAP(p, (column));                       \
    TINYML_TAP(q, (column) - (stride));            \
    TINYML_TAP(r, (column)-2 * (stride));          \
    TINYML_TAP(s, (column)-3 * (stride));          \
  }

#define TINYML_ROW(stride)                  \
  TINYML_LOAD_NO_EARLIER;                   \
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

#define TINYML_FOUR(stride)                                      \
  for (int32_t lane = 0; lane < lanes; ++lane) {                 \
    const int8_t *const *pixels = b->pixels;                     \
    int32_t p = 0, q = 0, r = 0, s = 0;                          \
    TINYML_ROWS(TINYML_ROW, stride)                              \
    finish(b, b->count, channel + lane, p, q, r, s, out + lane); \
  }

static void four_at_stride_1(const block *b, const int8_t *weights, int32_t channel, int32_t lanes,
                             int8_t *out) {
  TINYML_FOUR(1)
}

static void four_at_stride_2(const block *b, const int8_t *weights, int32_t channel, int32_t lanes,
                             int8_t *out) {
  TINYML_FOUR(2)
}

#define TINYML_ONE(tap) \
  if ((tap) < SIZE) sum += pixels[tap][lane] * weights[tap];

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

static void one(const block *b, const int8_t *weights, int32_t channel, int32_t lanes,
                int8_t *out) {
  for (int32_t lane = 0; lane < lanes; ++lane) {
    const int8_t *const *pixels = b->pixels;
    int32_t sum = 0;
    TINYML_ROWS(TINYML_ONE_ROW, 1)
    finish(b, 1, channel + lane, sum, 0, 0, 0, out + lane);
  }
}

static inline void depthwise(const tinyml_depthwise_conv_square_s8_op *op, const tinyml_span *span,
                             const int8_t *const *rows, int8_t *out) {
  const tinyml_filters *f = &op->filters;
  const int32_t channels = f->out_channels;
  const int32_t stride = op->stride_x;
  int8_t padding[RUN];
  block b;
  memset(padding, op->input_zero_point, sizeof padding);
  b.step = channels;
  b.filters = f;
  for (int32_t x = 0; x < span->out_width; x += PIXELS) {
    b.count = tinyml_min(span->out_width - x, PIXELS);
    const int32_t columns = SIZE + (b.count == 1 ? 0 : PIXELS - 1) * stride;
    windows *const sum = b.count == 1 ? one : stride == 1 ? four_at_stride_1 : four_at_stride_2;
    const int8_t *weights = f->weights;
    for (int32_t channel = 0; channel < channels; channel += RUN) {
      const int32_t lanes = tinyml_min(channels - channel, RUN);
      point(b.pixels, columns, rows, x * stride - span->pad_left, span->in_width, channels, channel,
            padding);
      sum(&b, weights, channel, lanes, out + channel);
      weights += SIZE * SIZE * lanes;
    }
    out += b.count * channels;
  }
}

#endif
