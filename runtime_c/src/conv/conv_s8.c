#include "tinyml_filters.h"
#include "tinyml_gather.h"
#include "tinyml_kernels.h"

void tinyml_conv_s8(const tinyml_conv_s8_op *op, const tinyml_span *span, const int8_t *const *rows,
                    int8_t *out, void *scratch) {
  const tinyml_conv_window *window = &op->window;
  const int32_t n = tinyml_conv_taps(window);
  const int32_t channels = op->filters.out_channels;
  int8_t *first = scratch;
  int32_t x = 0;
  for (; x + 2 <= span->out_width; x += 2, out += 2 * channels) {
    int8_t *second = tinyml_gather(window, span, rows, x, first);
    tinyml_gather(window, span, rows, x + 1, second);
    tinyml_filter2(&op->filters, first, second, n, out);
  }
  if (x < span->out_width) {
    tinyml_gather(window, span, rows, x, first);
    tinyml_filter1(&op->filters, first, n, 0, out);
  }
}
