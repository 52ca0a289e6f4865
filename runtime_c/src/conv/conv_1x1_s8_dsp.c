#include "tinyml_dsp.h"
#include "tinyml_kernels.h"

void tinyml_conv_1x1_s8_dsp(const tinyml_conv_1x1_s8_dsp_op *op, const tinyml_span *span,
                            const int8_t *const *rows, int8_t *out, void *scratch) {
  const int32_t n = op->in_channels;
  const int32_t channels = op->filters.out.channels;
  const int32_t steps = tinyml_dsp_steps(n), move = op->stride_x * n;
  const int8_t *in = rows[0];
  uint32_t *vectors = scratch;
  int32_t x = 0;
  for (; x + 2 <= span->out_width; x += 2, in += 2 * move, out += 2 * channels) {
    tinyml_dsp_widen2(in, in + move, n, vectors);
    tinyml_dsp_filter2(&op->filters, vectors, steps, out);
  }
  if (x < span->out_width) {
    tinyml_dsp_widen(in, n, vectors);
    tinyml_dsp_filter1(&op->filters, vectors, steps, out);
  }
}
