#include "tinyml_kernels.h"
#include "tinyml_mul32.h"

void tinyml_conv_1x1_s8_mul32(const tinyml_conv_1x1_s8_op *op, const tinyml_span *span,
                              const int8_t *const *rows, int8_t *out, void *scratch) {
  const int32_t n = op->in_channels;
  const int32_t step = op->stride_x * n;
  const int8_t *in = rows[0];
  for (int32_t x = 0; x < span->out_width; x += 2, in += 2 * step) {
    const int32_t pixels = tinyml_min(span->out_width - x, 2);
    tinyml_mul32_pack(in, pixels == 1 ? in : in + step, n, scratch);
    tinyml_mul32_filters(&op->filters, scratch, (n + 1) >> 1, pixels, out);
    out += 2 * op->filters.out_channels;
  }
}
