#include "tinyml_dot.h"
#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

static int8_t finish(const tinyml_fully_connected_s8_op *op, int32_t acc, int32_t channel) {
  const int32_t q = op->per_channel ? channel : 0;
  acc = tinyml_requantize(acc, op->multipliers[q], op->shifts[q]);
  return tinyml_to_s8(acc, op->output_zero_point, op->act_min, op->act_max);
}

void tinyml_fully_connected_s8(const tinyml_fully_connected_s8_op *op, const int8_t *in,
                               int8_t *out) {
  const int32_t n = op->in_features;
  for (int32_t batch = 0; batch < op->batches; ++batch, in += n) {
    /* sum(x * (w - zero point)) = sum(x * w) - zero point * sum(x) */
    const int32_t correction =
        op->weights_zero_point == 0 ? 0 : tinyml_mul(-op->weights_zero_point, tinyml_sum(in, n));
    const int8_t *weights = op->weights;
    int32_t channel = 0;
    for (; channel + 2 <= op->out_features; channel += 2, weights += 2 * n) {
      int32_t acc[2] = {tinyml_add(op->biases[channel], correction),
                        tinyml_add(op->biases[channel + 1], correction)};
      tinyml_dot2(acc, in, weights, weights + n, n);
      *out++ = finish(op, acc[0], channel);
      *out++ = finish(op, acc[1], channel + 1);
    }
    if (channel < op->out_features) {
      const int32_t acc = tinyml_add(op->biases[channel], correction);
      *out++ = finish(op, tinyml_dot(acc, in, weights, n), channel);
    }
  }
}
