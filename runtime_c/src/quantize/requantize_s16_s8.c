#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

void tinyml_requantize_s16_s8(const tinyml_requantize_op *op, const tinyml_span *span,
                              const int8_t *const *rows, int8_t *out) {
  const int16_t *in = (const int16_t *)(const void *)rows[0];
  for (int32_t n = span->out_width * op->channels; n > 0; --n) {
    const int32_t x = *in++ - op->input_zero_point;
    *out++ = tinyml_to_s8(tinyml_requantize(x, op->output.multiplier, op->output.shift),
                          op->output_zero_point, INT8_MIN, INT8_MAX);
  }
}
