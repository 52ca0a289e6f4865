#include "tinyml_dsp.h"
#include "tinyml_gather.h"
#include "tinyml_kernels.h"

/* Widens the window of output pixel x. */
static void widen(const tinyml_conv_window *window, const tinyml_span *span,
                  const int8_t *const *rows, int32_t x, uint32_t *to, int8_t *copy) {
  const int32_t origin = x * window->stride_x - span->pad_left;
  const int32_t run = window->kernel_width * window->in_channels;
  int32_t whole = window->dilation_x == 1 && run % 4 == 0 && origin >= 0 &&
                  origin + window->kernel_width <= span->in_width;
  for (int32_t ky = 0; ky < window->kernel_height; ++ky) whole &= rows[ky] != NULL;
  if (!whole) {
    tinyml_gather(window, span, rows, x, copy);
    tinyml_dsp_widen(copy, tinyml_conv_taps(window), to);
    return;
  }
  for (int32_t ky = 0; ky < window->kernel_height; ++ky) { /* no need of a copy: all in steps */
    to = tinyml_dsp_widen(rows[ky] + origin * window->in_channels, run, to);
  }
}

void tinyml_conv_s8_dsp(const tinyml_conv_s8_dsp_op *op, const tinyml_span *span,
                        const int8_t *const *rows, int8_t *out, void *scratch) {
  const tinyml_conv_window *window = &op->window;
  const int32_t steps = tinyml_dsp_steps(tinyml_conv_taps(window));
  const int32_t channels = op->filters.out_channels;
  uint32_t *vectors = scratch;
  int8_t *copy = (int8_t *)(vectors + TINYML_DSP_STEP_WORDS * steps);
  int32_t x = 0;
  for (; x + 2 <= span->out_width; x += 2, out += 2 * channels) {
    widen(window, span, rows, x, vectors, copy);
    widen(window, span, rows, x + 1, vectors + 2, copy);
    tinyml_dsp_filter2(&op->filters, vectors, steps, out, out + channels);
  }
  if (x < span->out_width) {
    widen(window, span, rows, x, vectors, copy);
    tinyml_dsp_filter1(&op->filters, vectors, steps, 0, out);
  }
}
