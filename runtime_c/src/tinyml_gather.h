/* Windows of a convolution, copied. */
#ifndef TINYML_GATHER_H
#define TINYML_GATHER_H

#include <string.h>

/* memcpy, or what a processor has for few bytes: void copy(int8_t *to, const int8_t *from, n) */
#ifndef TINYML_GATHER_COPY
#define TINYML_GATHER_COPY(to, from, n) memcpy(to, from, (size_t)(n))
#endif

#include "tinyml_kernels.h"
#include "tinyml_window.h"

/* Elements of a window */
static inline int32_t tinyml_conv_taps(const tinyml_conv_window *window) {
  return window->kernel_height * window->kernel_width * window->in_channels;
}

/* Copies one row of a window that begins at pixel `origin`, where its taps `inside` lie in the map;
 * padding, all of it where `row` is NULL, becomes the zero point, whose share the biases take away.
 */
static inline void tinyml_gather_row(const tinyml_conv_window *window, tinyml_taps inside,
                                     int32_t origin, const int8_t *row, int8_t *to) {
  const int32_t pixel = window->in_channels;
  const int32_t taps = inside.end - inside.begin;
  if (row == NULL || taps < window->kernel_width) {
    memset(to, (int8_t)window->input_zero_point, (size_t)(window->kernel_width * pixel));
  }
  if (row == NULL) return;
  const int8_t *from = row + (origin + inside.begin * window->dilation_x) * pixel;
  to += inside.begin * pixel;
  if (window->dilation_x == 1) { /* neighbouring taps read neighbouring pixels */
    TINYML_GATHER_COPY(to, from, taps * pixel);
    return;
  }
  for (int32_t i = 0; i < taps; ++i) {
    TINYML_GATHER_COPY(to, from, pixel);
    from += window->dilation_x * pixel;
    to += pixel;
  }
}

/* Copies the window of output pixel x, in the filters' order. Returns the byte after it. */
static inline int8_t *tinyml_gather(const tinyml_conv_window *window, const tinyml_span *span,
                                    const int8_t *const *rows, int32_t x, int8_t *to) {
  const int32_t origin = x * window->stride_x - span->pad_left;
  const tinyml_taps inside =
      tinyml_clip(origin, span->in_width, window->kernel_width, window->dilation_x);
  for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
    tinyml_gather_row(window, inside, origin, rows[ky], to);
    to += window->kernel_width * window->in_channels;
  }
  return to;
}

#endif
