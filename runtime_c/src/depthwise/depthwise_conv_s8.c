#include "tinyml_kernels.h"
#include "tinyml_rescale.h"
#include "tinyml_window.h"

/* The part of one output pixel's window that lies inside the map: `taps` kernel columns in each
 * row. Zero points are taken off tap by tap here: small maps are mostly border, where sums that
 * count on whole windows would need mending. */
typedef struct {
  int32_t taps;
  int32_t offset;       /* of the first of them in a row of the map */
  int32_t step;         /* from one to the next in the map */
  int32_t weights;      /* offset of the first of them in a row of the kernel */
  int32_t out_channels; /* from one to the next in the kernel */
} window;

static window window_at(const tinyml_depthwise_conv_s8_op *op, const tinyml_span *span, int32_t x,
                        int32_t in_channels) {
  const int32_t origin = x * op->stride_x - span->pad_left;
  const tinyml_taps inside = tinyml_clip(origin, span->in_width, op->kernel_width, op->dilation_x);
  window w;
  w.taps = inside.end - inside.begin;
  w.offset = (origin + inside.begin * op->dilation_x) * in_channels;
  w.step = op->dilation_x * in_channels;
  w.out_channels = op->filters.out_channels;
  w.weights = inside.begin * w.out_channels;
  return w;
}

/* The sum of output channel `channel`, fed by input channel `in_channel`. */
static int32_t sum1(const tinyml_depthwise_conv_s8_op *op, const window *at,
                    const int8_t *const *rows, int32_t in_channel, int32_t channel) {
  const TINYML_FLASH int8_t *row_weights = op->filters.weights + at->weights + channel;
  const int32_t zero_point = op->input_zero_point;
  int32_t a = 0;
  for (int32_t ky = 0; ky < op->kernel_height; ++ky) {
    if (rows[ky] != NULL) {
      const int8_t *x = rows[ky] + at->offset + in_channel;
      const TINYML_FLASH int8_t *w = row_weights;
      for (int32_t i = at->taps; i > 0; --i, x += at->step, w += at->out_channels) {
        a += (*x - zero_point) * *w;
      }
    }
    row_weights += op->kernel_width * at->out_channels;
  }
  return a;
}

/* The same for four output channels in a row, fed by input channels `lane` apart (1 or 0). */
static inline void sum4(const tinyml_depthwise_conv_s8_op *op, const window *at,
                        const int8_t *const *rows, int32_t in_channel, int32_t channel,
                        int32_t lane, int32_t sums[4]) {
  const TINYML_FLASH int8_t *row_weights = op->filters.weights + at->weights + channel;
  const int32_t zero_point = op->input_zero_point;
  int32_t a = 0, b = 0, c = 0, d = 0;
  for (int32_t ky = 0; ky < op->kernel_height; ++ky) {
    if (rows[ky] != NULL) {
      const int8_t *x = rows[ky] + at->offset + in_channel;
      const TINYML_FLASH int8_t *w = row_weights;
      for (int32_t i = at->taps; i > 0; --i, x += at->step, w += at->out_channels) {
        a += (x[0] - zero_point) * w[0];
        b += (x[lane] - zero_point) * w[1];
        c += (x[2 * lane] - zero_point) * w[2];
        d += (x[3 * lane] - zero_point) * w[3];
      }
    }
    row_weights += op->kernel_width * at->out_channels;
  }
  sums[0] = a;
  sums[1] = b;
  sums[2] = c;
  sums[3] = d;
}

void tinyml_depthwise_conv_s8(const tinyml_depthwise_conv_s8_op *op, const tinyml_span *span,
                              const int8_t *const *rows, int8_t *out) {
  const int32_t multiplier = op->depth_multiplier;
  const int32_t out_channels = op->filters.out_channels;
  const int32_t in_channels = out_channels / multiplier;
  /* Blocks of four channels need neighbouring inputs, or one input for all four. */
  const int blocks = multiplier == 1 || multiplier % 4 == 0;

  for (int32_t x = 0; x < span->out_width; ++x) {
    const window at = window_at(op, span, x, in_channels);
    int32_t in_channel = 0, fed = 0; /* fed: outputs that in_channel has fed */
    for (int32_t channel = 0; channel < out_channels;) {
      int32_t sums[4];
      const int32_t count = blocks && channel + 4 <= out_channels ? 4 : 1;
      if (count == 1) {
        sums[0] = sum1(op, &at, rows, in_channel, channel);
      } else if (multiplier == 1) {
        sum4(op, &at, rows, in_channel, channel, 1, sums);
      } else {
        sum4(op, &at, rows, in_channel, channel, 0, sums);
      }
      tinyml_outputs(&op->filters, sums, 1, 0, channel, count, out);
      out += count;
      channel += count;
      for (fed += count; fed >= multiplier; fed -= multiplier) ++in_channel;
    }
  }
}
