#include "tinyml_kernels.h"
#include "tinyml_mve.h"
#include "tinyml_window.h"

/* Copies the window of output pixel x, in the filters' order; padding becomes the zero point, whose
 * share the biases take away. */
static void gather(const tinyml_conv_window *window, const tinyml_span *span,
                   const int8_t *const *rows, int32_t x, int8_t *to) {
  const int32_t pixel = window->in_channels;
  const int32_t origin = x * window->stride_x - span->pad_left;
  const int32_t run = window->kernel_width * pixel;
  const tinyml_taps inside =
      tinyml_clip(origin, span->in_width, window->kernel_width, window->dilation_x);
  const int32_t taps = inside.end - inside.begin;
  const int32_t first = (origin + inside.begin * window->dilation_x) * pixel;
  for (int32_t ky = 0; ky < window->kernel_height; ++ky, to += run) {
    if (rows[ky] == NULL || taps < window->kernel_width) {
      tinyml_mve_fill(to, window->input_zero_point, run);
    }
    if (rows[ky] == NULL) continue;
    const int8_t *from = rows[ky] + first;
    int8_t *next = to + inside.begin * pixel;
    if (window->dilation_x == 1) { /* neighbouring taps read neighbouring pixels */
      tinyml_mve_copy(next, from, taps * pixel);
      continue;
    }
    for (int32_t i = 0; i < taps; ++i) {
      tinyml_mve_copy(next, from, pixel);
      from += window->dilation_x * pixel;
      next += pixel;
    }
  }
}

void tinyml_conv_s8_mve(const tinyml_conv_s8_mve_op *op, const tinyml_span *span,
                        const int8_t *const *rows, int8_t *out, void *scratch) {
  const tinyml_conv_window *window = &op->window;
  const int32_t steps =
      tinyml_mve_steps(window->kernel_height * window->kernel_width * window->in_channels);
  const int32_t channels = op->filters.out_channels;
  int8_t *const first = scratch, *const second = first + TINYML_MVE_STEP * steps;
  int32_t x = 0;
  for (; x + 2 <= span->out_width; x += 2, out += 2 * channels) {
    gather(window, span, rows, x, first);
    gather(window, span, rows, x + 1, second);
    tinyml_mve_filter2(&op->filters, first, second, steps, 0, out);
  }
  if (x < span->out_width) {
    gather(window, span, rows, x, first);
    tinyml_mve_filter1(&op->filters, first, steps, 0, 0, out);
  }
}
