#include <string.h>

#include "tinyml_filters.h"
#include "tinyml_kernels.h"
#include "tinyml_window.h"

/* Copies the window of output pixel x, in the filters' order; padding becomes the zero point, whose
 * share the biases take away. Returns the byte after the window. */
static int8_t *gather(const tinyml_conv_s8_op *op, const tinyml_span *span,
                      const int8_t *const *rows, int32_t x, int8_t *to) {
  const int32_t pixel = op->in_channels;
  const int32_t origin = x * op->stride_x - span->pad_left;
  const tinyml_taps inside = tinyml_clip(origin, span->in_width, op->kernel_width, op->dilation_x);
  const int32_t taps = inside.end - inside.begin;
  for (int32_t ky = 0; ky < op->kernel_height; ++ky, to += op->kernel_width * pixel) {
    if (rows[ky] == NULL || taps < op->kernel_width) {
      memset(to, op->input_zero_point, (size_t)(op->kernel_width * pixel));
    }
    if (rows[ky] == NULL) continue;
    const int8_t *from = rows[ky] + (origin + inside.begin * op->dilation_x) * pixel;
    int8_t *next = to + inside.begin * pixel;
    if (op->dilation_x == 1) { /* neighbouring taps read neighbouring pixels */
      memcpy(next, from, (size_t)(taps * pixel));
      continue;
    }
    for (int32_t i = 0; i < taps; ++i) {
      memcpy(next, from, (size_t)pixel);
      from += op->dilation_x * pixel;
      next += pixel;
    }
  }
  return to;
}

void tinyml_conv_s8(const tinyml_conv_s8_op *op, const tinyml_span *span, const int8_t *const *rows,
                    int8_t *out, void *scratch) {
  const int32_t n = op->kernel_height * op->kernel_width * op->in_channels;
  const int32_t channels = op->filters.out_channels;
  int8_t *first = scratch;
  int32_t x = 0;
  for (; x + 2 <= span->out_width; x += 2, out += 2 * channels) {
    int8_t *second = gather(op, span, rows, x, first);
    gather(op, span, rows, x + 1, second);
    tinyml_filter2(&op->filters, first, second, n, out);
  }
  if (x < span->out_width) {
    gather(op, span, rows, x, first);
    tinyml_filter1(&op->filters, first, n, 0, out);
  }
}
