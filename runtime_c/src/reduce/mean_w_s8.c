#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

void tinyml_mean_w_s8(const tinyml_mean_w_s8_op *op, const tinyml_span *span,
                      const int8_t *const *rows, int8_t *out) {
  for (int32_t channel = 0; channel < op->channels; ++channel) {
    const int8_t *in = rows[0] + channel;
    int32_t sum = 0;
    for (int32_t x = 0; x < span->in_width; ++x, in += op->channels) sum += *in;
    *out++ = tinyml_to_s8(tinyml_requantize(tinyml_sub(sum, op->zero_points), op->output.multiplier,
                                            op->output.shift),
                          op->output_zero_point, INT8_MIN, INT8_MAX);
  }
}
