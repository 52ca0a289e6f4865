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

/* The same for x and the pixel after it, whose windows lie inside the map, with no dilation;
 * `distance` is that of the two copies. */
static void gather2(const tinyml_conv_window *window, const tinyml_span *span,
                    const int8_t *const *rows, int32_t x, int8_t *to, int32_t distance) {
  const int32_t pixel = window->in_channels;
  const int32_t first = (x * window->stride_x - span->pad_left) * pixel;
  const int32_t run = window->kernel_width * pixel, move = window->stride_x * pixel;
  const int8_t *const *end = rows + window->kernel_height;
  for (; rows < end; ++rows, to += run) {
    if (*rows == NULL) {
      tinyml_mve_fill(to, window->input_zero_point, run);
      tinyml_mve_fill(to + distance, window->input_zero_point, run);
    } else {
      tinyml_mve_copy2(to, to + distance, *rows + first, *rows + first + move, run);
    }
  }
}

void tinyml_conv_s8_mve(const tinyml_conv_s8_mve_op *op, const tinyml_span *span,
                        const int8_t *const *rows, int8_t *out, void *scratch) {
  const tinyml_conv_window *window = &op->window;
  const int32_t steps =
      tinyml_mve_steps(window->kernel_height * window->kernel_width * window->in_channels);
  const int32_t channels = op->filters.out_channels;
  const int32_t bytes = TINYML_MVE_STEP * steps;
  int8_t *const windows = scratch;
  int32_t x = 0;
  for (; x + 2 <= span->out_width; x += 2, out += 2 * channels) {
    const int32_t origin = x * window->stride_x - span->pad_left;
    const int32_t end = origin + window->stride_x + window->kernel_width;
    if (origin >= 0 && end <= span->in_width && window->dilation_x == 1) {
      gather2(window, span, rows, x, windows, bytes);
    } else {
      gather(window, span, rows, x, windows);
      gather(window, span, rows, x + 1, windows + bytes);
    }
    tinyml_mve_filter2(&op->filters, windows, windows + bytes, steps, 0, out);
  }
  if (x < span->out_width) {
    gather(window, span, rows, x, windows);
    tinyml_mve_filter1(&op->filters, windows, steps, 0, 0, out);
  }
}
