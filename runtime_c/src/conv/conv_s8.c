#include "tinyml_dot.h"
#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"
#include "tinyml_window.h"

/* The window of one output pixel: `runs` stretches of `run` bytes, `run_step` bytes apart in the
 * row, lie inside; `before` and `after` weights of each kernel row meet padding. */
typedef struct {
  int32_t offset; /* of the first run in the row */
  int32_t runs;
  int32_t run;
  int32_t run_step;
  int32_t before;
  int32_t after;
} window;

static window window_at(const tinyml_conv_s8_op *op, const tinyml_span *span, int32_t x) {
  const int32_t origin = x * op->stride_x - span->pad_left;
  const tinyml_taps inside = tinyml_clip(origin, span->in_width, op->kernel_width, op->dilation_x);
  const int32_t taps = inside.end - inside.begin;
  window w;
  w.offset = (origin + inside.begin * op->dilation_x) * op->in_channels;
  if (op->dilation_x == 1) { /* neighbouring taps read neighbouring pixels */
    w.runs = 1;
    w.run = taps * op->in_channels;
  } else {
    w.runs = taps;
    w.run = op->in_channels;
  }
  w.run_step = op->dilation_x * op->in_channels;
  w.before = inside.begin * op->in_channels;
  w.after = (op->kernel_width - inside.end) * op->in_channels;
  return w;
}

/* Padding counts as the zero point, whose share the biases have taken away. */
static int32_t padding_share(const tinyml_conv_s8_op *op, const window *at,
                             const int8_t *const *rows, const int8_t *weights) {
  const int32_t row_size = op->kernel_width * op->in_channels;
  int32_t sum = 0;
  for (int32_t ky = 0; ky < op->kernel_height; ++ky, weights += row_size) {
    if (rows[ky] == NULL) {
      sum += tinyml_sum(weights, row_size);
    } else {
      sum += tinyml_sum(weights, at->before);
      sum += tinyml_sum(weights + row_size - at->after, at->after);
    }
  }
  return tinyml_mul(sum, op->input_zero_point);
}

/* Adds what the window holds to the accumulators of two output channels. */
static void accumulate2(const tinyml_conv_s8_op *op, const window *at, const int8_t *const *rows,
                        const int8_t *weights, int32_t acc[2]) {
  const int32_t row_size = op->kernel_width * op->in_channels;
  const int32_t filter_size = row_size * op->kernel_height;
  for (int32_t ky = 0; ky < op->kernel_height; ++ky, weights += row_size) {
    if (rows[ky] == NULL) continue;
    const int8_t *x = rows[ky] + at->offset;
    const int8_t *w = weights + at->before;
    for (int32_t i = 0; i < at->runs; ++i, x += at->run_step, w += at->run) {
      tinyml_dot2(acc, x, w, w + filter_size, at->run);
    }
  }
}

static int32_t accumulate1(const tinyml_conv_s8_op *op, const window *at, const int8_t *const *rows,
                           const int8_t *weights, int32_t acc) {
  const int32_t row_size = op->kernel_width * op->in_channels;
  for (int32_t ky = 0; ky < op->kernel_height; ++ky, weights += row_size) {
    if (rows[ky] == NULL) continue;
    const int8_t *x = rows[ky] + at->offset;
    const int8_t *w = weights + at->before;
    for (int32_t i = 0; i < at->runs; ++i, x += at->run_step, w += at->run) {
      acc = tinyml_dot(acc, x, w, at->run);
    }
  }
  return acc;
}

static int8_t finish(const tinyml_conv_s8_op *op, int32_t acc, int32_t channel) {
  const int32_t q = op->per_channel ? channel : 0;
  acc = tinyml_requantize(acc, op->multipliers[q], op->shifts[q]);
  return tinyml_to_s8(acc, op->output_zero_point, op->act_min, op->act_max);
}

void tinyml_conv_s8(const tinyml_conv_s8_op *op, const tinyml_span *span, const int8_t *const *rows,
                    int8_t *out) {
  const int32_t filter_size = op->kernel_height * op->kernel_width * op->in_channels;
  int rows_padded = 0;
  for (int32_t ky = 0; ky < op->kernel_height; ++ky) rows_padded |= rows[ky] == NULL;

  for (int32_t x = 0; x < span->out_width; ++x) {
    const window at = window_at(op, span, x);
    const int padded =
        op->input_zero_point != 0 && (rows_padded || at.before != 0 || at.after != 0);
    const int8_t *weights = op->weights;
    int32_t channel = 0;
    for (; channel + 2 <= op->out_channels; channel += 2, weights += 2 * filter_size) {
      int32_t acc[2] = {op->biases[channel], op->biases[channel + 1]};
      accumulate2(op, &at, rows, weights, acc);
      if (padded) {
        acc[0] = tinyml_add(acc[0], padding_share(op, &at, rows, weights));
        acc[1] = tinyml_add(acc[1], padding_share(op, &at, rows, weights + filter_size));
      }
      *out++ = finish(op, acc[0], channel);
      *out++ = finish(op, acc[1], channel + 1);
    }
    if (channel < op->out_channels) {
      int32_t acc = accumulate1(op, &at, rows, weights, op->biases[channel]);
      if (padded) acc = tinyml_add(acc, padding_share(op, &at, rows, weights));
      *out++ = finish(op, acc, channel);
    }
  }
}
