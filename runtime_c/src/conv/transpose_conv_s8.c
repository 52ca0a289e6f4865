#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

/* The inputs of one pixel, offset, times one tap of one filter. */
static int32_t tap(const tinyml_transpose_conv_s8_op *op, const int8_t *in,
                   const TINYML_FLASH int8_t *weights) {
  int32_t sum = 0;
  for (int32_t c = 0; c < op->in_channels; ++c) sum += (in[c] - op->input_zero_point) * weights[c];
  return sum;
}

/* What all taps of `filter` [kernel_height, kernel_width, in_channels] add to output column x. */
static int32_t sum_of(const tinyml_transpose_conv_s8_op *op, const tinyml_span *span,
                      const int8_t *const *rows, const TINYML_FLASH int8_t *filter, int32_t x) {
  int32_t sum = 0;
  for (int32_t i = 0; i < op->kernel_height; ++i) {
    if (rows[i] == NULL) continue;
    for (int32_t j = 0; j < op->kernel_width; ++j) {
      const int32_t at = x + span->pad_left - j;
      if (at < 0 || at % op->stride_x != 0 || at / op->stride_x >= span->in_width) continue;
      sum += tap(op, rows[i] + at / op->stride_x * op->in_channels,
                 filter + (i * op->kernel_width + j) * op->in_channels);
    }
  }
  return sum;
}

void tinyml_transpose_conv_s8(const tinyml_transpose_conv_s8_op *op, const tinyml_span *span,
                              const int8_t *const *rows, int8_t *out) {
  const int32_t filter_size = op->kernel_height * op->kernel_width * op->in_channels;
  for (int32_t x = 0; x < span->out_width; ++x) {
    for (int32_t o = 0; o < op->out_channels; ++o) {
      const int32_t sum = sum_of(op, span, rows, op->weights + o * filter_size, x);
      const int32_t biased = op->biases == NULL ? sum : tinyml_add(sum, op->biases[o]);
      *out++ = tinyml_to_s8(tinyml_requantize(biased, op->multipliers[o], op->shifts[o]),
                            op->output_zero_point, op->act_min, op->act_max);
    }
  }
}
