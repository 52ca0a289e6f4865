#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"
#include "tinyml_window.h"

/* The window of one output pixel: kernel columns [begin, end) lie inside the row. */
typedef struct {
  tinyml_taps inside;
  int32_t in_channels;
  int32_t offset; /* of kernel column `begin` in the row */
  int32_t step;   /* from one kernel column to the next in the row */
} window;

static window window_at(const tinyml_depthwise_conv_s8_op *op, const tinyml_span *span, int32_t x,
                        int32_t in_channels) {
  const int32_t origin = x * op->stride_x - span->pad_left;
  window w;
  w.inside = tinyml_clip(origin, span->in_width, op->kernel_width, op->dilation_x);
  w.in_channels = in_channels;
  w.offset = (origin + w.inside.begin * op->dilation_x) * in_channels;
  w.step = op->dilation_x * in_channels;
  return w;
}

/* Adds what the window holds for output channel `out_channel`, fed by `in_channel`. */
static int32_t accumulate1(const tinyml_depthwise_conv_s8_op *op, const window *at,
                           const int8_t *const *rows, int32_t in_channel, int32_t out_channel,
                           int32_t acc) {
  const int8_t *weights = op->weights + at->inside.begin * op->out_channels + out_channel;
  for (int32_t ky = 0; ky < op->kernel_height; ++ky) {
    if (rows[ky] != NULL) {
      const int8_t *x = rows[ky] + at->offset + in_channel;
      const int8_t *w = weights;
      for (int32_t kx = at->inside.begin; kx < at->inside.end; ++kx) {
        acc = tinyml_add(acc, *x * *w);
        x += at->step;
        w += op->out_channels;
      }
    }
    weights += op->kernel_width * op->out_channels;
  }
  return acc;
}

/* The same for four output channels in a row, fed by input channels `lane` apart (1 or 0). */
static inline void accumulate4(const tinyml_depthwise_conv_s8_op *op, const window *at,
                               const int8_t *const *rows, int32_t in_channel, int32_t out_channel,
                               int32_t lane, int32_t acc[4]) {
  const int8_t *weights = op->weights + at->inside.begin * op->out_channels + out_channel;
  int32_t a = acc[0], b = acc[1], c = acc[2], d = acc[3];
  for (int32_t ky = 0; ky < op->kernel_height; ++ky) {
    if (rows[ky] != NULL) {
      const int8_t *x = rows[ky] + at->offset + in_channel;
      const int8_t *w = weights;
      for (int32_t kx = at->inside.begin; kx < at->inside.end; ++kx) {
        a = tinyml_add(a, x[0] * w[0]);
        b = tinyml_add(b, x[lane] * w[1]);
        c = tinyml_add(c, x[2 * lane] * w[2]);
        d = tinyml_add(d, x[3 * lane] * w[3]);
        x += at->step;
        w += op->out_channels;
      }
    }
    weights += op->kernel_width * op->out_channels;
  }
  acc[0] = a;
  acc[1] = b;
  acc[2] = c;
  acc[3] = d;
}

/* Padding counts as the zero point, whose share the biases have taken away. */
static int32_t padding_share(const tinyml_depthwise_conv_s8_op *op, const window *at,
                             const int8_t *const *rows, int32_t channel) {
  const int8_t *w = op->weights + channel;
  int32_t sum = 0;
  for (int32_t ky = 0; ky < op->kernel_height; ++ky) {
    for (int32_t kx = 0; kx < op->kernel_width; ++kx, w += op->out_channels) {
      if (rows[ky] == NULL || kx < at->inside.begin || kx >= at->inside.end) sum += *w;
    }
  }
  return tinyml_mul(sum, op->input_zero_point);
}

static int8_t finish(const tinyml_depthwise_conv_s8_op *op, int32_t acc, int32_t channel) {
  const int32_t q = op->per_channel ? channel : 0;
  acc = tinyml_requantize(acc, op->multipliers[q], op->shifts[q]);
  return tinyml_to_s8(acc, op->output_zero_point, op->act_min, op->act_max);
}

void tinyml_depthwise_conv_s8(const tinyml_depthwise_conv_s8_op *op, const tinyml_span *span,
                              const int8_t *const *rows, int8_t *out) {
  const int32_t multiplier = op->depth_multiplier;
  const int32_t in_channels = op->out_channels / multiplier;
  /* Blocks of four channels need neighbouring inputs, or one input for all four. */
  const int blocks = multiplier == 1 || multiplier % 4 == 0;
  int rows_padded = 0;
  for (int32_t ky = 0; ky < op->kernel_height; ++ky) rows_padded |= rows[ky] == NULL;

  for (int32_t x = 0; x < span->out_width; ++x) {
    const window at = window_at(op, span, x, in_channels);
    const int padded = op->input_zero_point != 0 &&
                       (rows_padded || at.inside.begin != 0 || at.inside.end != op->kernel_width);
    int32_t in_channel = 0, lane = 0; /* lane: outputs that in_channel has fed */
    for (int32_t channel = 0; channel < op->out_channels;) {
      int32_t acc[4];
      const int32_t count = blocks && channel + 4 <= op->out_channels ? 4 : 1;
      for (int32_t i = 0; i < count; ++i) {
        acc[i] = op->biases[channel + i];
        if (padded) acc[i] = tinyml_add(acc[i], padding_share(op, &at, rows, channel + i));
      }
      if (count == 1) {
        acc[0] = accumulate1(op, &at, rows, in_channel, channel, acc[0]);
      } else if (multiplier == 1) {
        accumulate4(op, &at, rows, in_channel, channel, 1, acc);
      } else {
        accumulate4(op, &at, rows, in_channel, channel, 0, acc);
      }
      for (int32_t i = 0; i < count; ++i) out[channel + i] = finish(op, acc[i], channel + i);
      channel += count;
      lane += count;
      while (lane >= multiplier) {
        lane -= multiplier;
        ++in_channel;
      }
    }
    out += op->out_channels;
  }
}
