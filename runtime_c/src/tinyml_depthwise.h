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

/* Sums the products of the windows of so many channels; the table points at the pixels that they
 * are made of, row by row. Of each channel the sums of the first `count` windows are kept. Called
 * through a pointer, so that it has all registers for itself. The sums are signed: they are small,
 * and compilers keep to the order of signed additions, which is the one that needs the fewest
 * registers. */
typedef void windows(const int8_t *const *table, const TINYML_FLASH int8_t *weights, int32_t lanes,
                     int32_t count, int32_t *sums);

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

#define TINYML_COLUMNS(column_of, stride)                                                       \
  TINYML_LOAD_NO_EARLIER;                                                                       \
  column_of(0, stride) column_of(1, stride) column_of(2, stride) column_of(3, stride)           \
      column_of(4, stride) column_of(5, stride) column_of(6, stride) column_of(7, stride)       \
          column_of(8, stride) column_of(9, stride) column_of(10, stride) column_of(11, stride) \
              column_of(12, stride) pixels += SIZE + (PIXELS - 1) * (stride);                   \
  weights += SIZE;

#define TINYML_ROW(stride) TINYML_COLUMNS(TINYML_COLUMN, stride)

#if TINYML_DEPTHWISE_SIZE == 3
#define TINYML_ROWS(row, stride) row(stride) row(stride) row(stride)
#else
#define TINYML_ROWS(row, stride)          \
  for (int32_t ky = 0; ky < SIZE; ++ky) { \
    row(stride)                           \
  }
#endif

#define TINYML_FOUR(stride)                             \
  {                                                     \
    const int8_t *const *pixels = table;                \
    int32_t p = 0, q = 0, r = 0, s = 0;                 \
    TINYML_ROWS(TINYML_ROW, stride)                     \
    sums[0] = p, sums[1] = q, sums[2] = r, sums[3] = s; \
    sums += count;                                      \
  }

/* Two neighbouring channels, so that each pointer serves both, where there are registers for it. */
#if TINYML_DEPTHWISE_SIZE == 3 && defined(TINYML_REGISTERS_30)
#define TINYML_TAP_OF_TWO(i, tap)                         \
  if ((tap) >= 0 && (tap) < SIZE) {                       \
    a##i += u * ((tap) == 0 ? c0 : (tap) == 1 ? c1 : c2); \
    b##i += v * ((tap) == 0 ? d0 : (tap) == 1 ? d1 : d2); \
  }

#define TINYML_COLUMN_OF_TWO(column, stride)        \
  if ((column) < SIZE + (PIXELS - 1) * (stride)) {  \
    TINYML_LOAD_NO_EARLIER;                         \
    const int8_t *const at = pixels[column] + lane; \
    const int32_t u = at[0], v = at[1];             \
    TINYML_TAP_OF_TWO(0, (column))                  \
    TINYML_TAP_OF_TWO(1, (column) - (stride))       \
    TINYML_TAP_OF_TWO(2, (column)-2 * (stride))     \
    TINYML_TAP_OF_TWO(3, (column)-3 * (stride))     \
  }

#define TINYML_ROW_OF_TWO(stride)                                      \
  {                                                                    \
    const int32_t c0 = weights[0], c1 = weights[1], c2 = weights[2];   \
    const int32_t d0 = weights[9], d1 = weights[10], d2 = weights[11]; \
    TINYML_COLUMNS(TINYML_COLUMN_OF_TWO, stride)                       \
  }

#define TINYML_FOURS_OF_TWO(stride)                                         \
  for (; lane + 2 <= lanes; lane += 2, weights += SIZE * SIZE) {            \
    const int8_t *const *pixels = table;                                    \
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0; \
    TINYML_ROWS(TINYML_ROW_OF_TWO, stride)                                  \
    sums[0] = a0, sums[1] = a1, sums[2] = a2, sums[3] = a3;                 \
    sums += count;                                                          \
    sums[0] = b0, sums[1] = b1, sums[2] = b2, sums[3] = b3;                 \
    sums += count;                                                          \
  }
#else
#define TINYML_FOURS_OF_TWO(stride)
#endif

static void four_at_stride_1(const int8_t *const *table, const TINYML_FLASH int8_t *weights,
                             int32_t lanes, int32_t count, int32_t *sums) {
  int32_t lane = 0;
  TINYML_FOURS_OF_TWO(1)
  for (; lane < lanes; ++lane) TINYML_FOUR(1)
}

static void four_at_stride_2(const int8_t *const *table, const TINYML_FLASH int8_t *weights,
                             int32_t lanes, int32_t count, int32_t *sums) {
  int32_t lane = 0;
  TINYML_FOURS_OF_TWO(2)
  for (; lane < lanes; ++lane) TINYML_FOUR(2)
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

static void one(const int8_t *const *table, const TINYML_FLASH int8_t *weights, int32_t lanes,
                int32_t count, int32_t *sums) {
  for (int32_t lane = 0; lane < lanes; ++lane) {
    const int8_t *const *pixels = table;
    int32_t sum = 0;
    TINYML_ROWS(TINYML_ONE_ROW, 1)
    *sums = sum;
    sums += count;
  }
}

static inline void depthwise(const tinyml_depthwise_conv_square_s8_op *op, const tinyml_span *span,
                             const int8_t *const *rows, int8_t *out) {
  const int32_t channels = op->filters.out_channels;
  const int32_t stride = op->stride_x;
  const int8_t *table[SIZE * COLUMNS];
  int8_t padding[RUN];
  int32_t sums[RUN * PIXELS + PIXELS - 1]; /* what is not kept is written over */
  memset(padding, (int8_t)op->input_zero_point, sizeof padding);
  for (int32_t x = 0; x < span->out_width; x += PIXELS) {
    const int32_t count = tinyml_min(span->out_width - x, PIXELS);
    const int32_t columns = SIZE + (count == 1 ? 0 : PIXELS - 1) * stride;
    windows *const sum = count == 1 ? one : stride == 1 ? four_at_stride_1 : four_at_stride_2;
    const TINYML_FLASH int8_t *weights = op->filters.weights;
    for (int32_t channel = 0; channel < channels; channel += RUN) {
      const int32_t lanes = tinyml_min(channels - channel, RUN);
      point(table, columns, rows, x * stride - span->pad_left, span->in_width, channels, channel,
            padding);
      sum(table, weights, lanes, count, sums);
      tinyml_outputs(&op->filters, sums, count, channels, channel, lanes, out + channel);
      weights += SIZE * SIZE * lanes;
    }
    out += count * channels;
  }
}

#endif
