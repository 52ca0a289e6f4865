#include "tinyml_kernels.h"
#include "tinyml_mve.h"

void tinyml_conv_1x1_s8_mve(const tinyml_conv_1x1_s8_mve_op *op, const tinyml_span *span,
                            const int8_t *const *rows, int8_t *out) {
  const int32_t n = op->in_channels;
  const int32_t full = n / TINYML_MVE_STEP, tail = n % TINYML_MVE_STEP;
  const int32_t step = op->stride_x * n;
  const int32_t channels = op->filters.out_channels;
  const int8_t *in = rows[0];
  int32_t x = 0;
  for (; x + 2 <= span->out_width; x += 2, in += 2 * step, out += 2 * channels) {
    tinyml_mve_filter2(&op->filters, in, in + step, full, tail, out);
  }
  if (x < span->out_width) tinyml_mve_filter1(&op->filters, in, full, tail, 0, out);
}
