#include "tinyml_dsp.h"
#include "tinyml_kernels.h"
#include "tinyml_window.h"

/* Padding: `pixels` pixels of the zero point, of whole steps. */
static uint32_t *fill(const tinyml_conv_window *window, int32_t pixels, uint32_t *to) {
  const uint32_t zero = (uint16_t)window->input_zero_point * 0x10001u;
  for (int32_t i = pixels * window->in_channels; i > 0; i -= 4, to += TINYML_DSP_STEP_WORDS) {
    to[0] = zero;
    to[1] = zero;
  }
  return to;
}

/* Widens the window that starts `origin` pixels into the rows. */
static void widen(const tinyml_conv_window *window, const tinyml_span *span,
                  const int8_t *const *rows, int32_t origin, uint32_t *to) {
  const int32_t pixel = window->in_channels;
  const tinyml_taps inside =
      tinyml_clip(origin, span->in_width, window->kernel_width, window->dilation_x);
  for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
    if (rows[ky] == NULL) {
      to = fill(window, window->kernel_width, to);
      continue;
    }
    const int8_t *from = rows[ky] + (origin + inside.begin * window->dilation_x) * pixel;
    to = fill(window, inside.begin, to);
    for (int32_t i = inside.begin; i < inside.end; ++i, from += window->dilation_x * pixel) {
      to = tinyml_dsp_widen(from, pixel, to);
    }
    to = fill(window, window->kernel_width - inside.end, to);
  }
}

/* The last place where a window may start and lie whole in all rows; negative if there is none. */
static int32_t room(const tinyml_conv_window *window, const tinyml_span *span,
                    const int8_t *const *rows) {
  if (window->dilation_x != 1) return -1;
  for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
    if (rows[ky] == NULL) return -1;
  }
  return span->in_width - window->kernel_width;
}

/* Widens the windows that start `first` and `last` pixels into the rows, both at once where both
 * are `whole`. */
static void widen2(const tinyml_conv_window *window, const tinyml_span *span,
                   const int8_t *const *rows, int32_t first, int32_t last, int32_t whole,
                   uint32_t *to) {
  const int32_t pixel = window->in_channels;
  if (!whole) {
    widen(window, span, rows, first, to);
    widen(window, span, rows, last, to + 2);
    return;
  }
  for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
    to = tinyml_dsp_widen2_steps(rows[ky] + first * pixel, rows[ky] + last * pixel,
                                 window->kernel_width * pixel >> 2, to);
  }
}

/* One row of a window: where it lies if it is whole, or else copied into its padding. */
static const int8_t *run(const tinyml_conv_window *window, const tinyml_taps *inside,
                         const int8_t *row, int32_t origin, int8_t *copy) {
  const int32_t pixel = window->in_channels;
  const int8_t *from = row + (origin + inside->begin * window->dilation_x) * pixel;
  int8_t *to = copy + inside->begin * pixel;
  if (window->dilation_x == 1) {
    const int32_t taps = inside->end - inside->begin;
    if (taps == window->kernel_width) return from;
    memcpy(to, from, (size_t)(taps * pixel));
    return copy;
  }
  for (int32_t i = inside->begin; i < inside->end; ++i, to += pixel) {
    memcpy(to, from, (size_t)pixel);
    from += window->dilation_x * pixel;
  }
  return copy;
}

/* widen2 where pixels are not whole steps: the whole steps of each row, then the rests of all rows
 * together. */
static void widen2_ragged(const tinyml_conv_window *window, const tinyml_span *span,
                          const int8_t *const *rows, int32_t first, int32_t last, int32_t whole,
                          uint32_t *to) {
  const int32_t height = window->kernel_height, width = window->kernel_width;
  const int32_t bytes = width * window->in_channels;
  const int32_t rest = bytes & 3;
  const int32_t pixel = window->in_channels, steps = bytes >> 2;
  const int32_t rest_steps = tinyml_dsp_steps(height * rest);
  tinyml_taps inside0 = {0, width}, inside1 = inside0;
  uint32_t *end = to + TINYML_DSP_STEP_WORDS * tinyml_dsp_steps(height * bytes);
  int8_t *copy0 = (int8_t *)end, *copy1 = copy0 + bytes; /* with the padding around */
  /* The rests, a word of each window by turns, wait in the upper half of where they go: a step is
   * written no sooner than it is read. What fills the last step may be anything, as the filters'
   * zeros meet it. */
  int8_t *rests = (int8_t *)(end - 2 * rest_steps);
  int32_t rested = 0;
  if (!whole) {
    inside0 = tinyml_clip(first, span->in_width, width, window->dilation_x);
    inside1 = tinyml_clip(last, span->in_width, width, window->dilation_x);
    memset(copy0, window->input_zero_point, (size_t)(2 * bytes));
  }
  for (int32_t ky = 0; ky < height; ++ky) {
    const int8_t *x0 = copy0, *x1 = copy0;
    if (whole) {
      x0 = rows[ky] + first * pixel;
      x1 = rows[ky] + last * pixel;
    } else if (rows[ky] == NULL) {
      memset(copy0, window->input_zero_point, (size_t)bytes);
    } else {
      x0 = run(window, &inside0, rows[ky], first, copy0);
      x1 = last == first ? x0 : run(window, &inside1, rows[ky], last, copy1);
    }
    to = tinyml_dsp_widen2_steps(x0, x1, steps, to);
    for (int32_t i = bytes - rest; i < bytes; ++i, ++rested) {
      int8_t *next = rests + rested + (rested & ~3);
      next[0] = x0[i];
      next[4] = x1[i];
    }
  }
  for (int32_t i = 0; i < rest_steps; ++i, rests += 8, to += TINYML_DSP_STEP_WORDS) {
    const uint32_t word0 = tinyml_dsp_load4(rests), word1 = tinyml_dsp_load4(rests + 4);
    tinyml_dsp_widen4(word0, to);
    tinyml_dsp_widen4(word1, to + 2);
  }
}

void tinyml_conv_s8_dsp(const tinyml_conv_s8_dsp_op *op, const tinyml_span *span,
                        const int8_t *const *rows, int8_t *out, void *scratch) {
  const tinyml_conv_window *window = &op->window;
  const int32_t taps = window->kernel_height * window->kernel_width * window->in_channels;
  const int32_t steps = tinyml_dsp_steps(taps);
  const int32_t channels = op->filters.out.channels;
  uint32_t *vectors = scratch;
  const int32_t end = room(window, span, rows);
  int32_t origin = -span->pad_left;
  for (int32_t left = span->out_width; left > 0; left -= 2) {
    const int32_t last = left > 1 ? origin + window->stride_x : origin;
    const int32_t whole = origin >= 0 && last <= end;
    (window->in_channels % 4 == 0 ? widen2 : widen2_ragged)(window, span, rows, origin, last, whole,
                                                            vectors);
    if (left > 1) {
      tinyml_dsp_filter2(&op->filters, vectors, steps, out);
    } else {
      tinyml_dsp_filter1(&op->filters, vectors, steps, out);
    }
    origin = last + window->stride_x;
    out += 2 * channels;
  }
}
