#include "tinyml_gather.h"
#include "tinyml_kernels.h"
#include "tinyml_mul32.h"

/* A row of the window of output pixel x: where it lies, or else copied to `room`. */
static inline const int8_t *row_of_window(const tinyml_conv_window *window, const tinyml_span *span,
                                          const int8_t *row, int32_t x, int8_t *room) {
  const int32_t origin = x * window->stride_x - span->pad_left;
  const tinyml_taps inside =
      tinyml_clip(origin, span->in_width, window->kernel_width, window->dilation_x);
  if (row != NULL && window->dilation_x == 1 && inside.end - inside.begin == window->kernel_width) {
    return row + origin * window->in_channels;
  }
  tinyml_gather_row(window, inside, origin, row, room);
  return room;
}

void tinyml_conv_s8_mul32(const tinyml_conv_s8_op *op, const tinyml_span *span,
                          const int8_t *const *rows, int8_t *out, void *scratch) {
  const tinyml_conv_window *window = &op->window;
  const int32_t n = window->kernel_width * window->in_channels;
  const int32_t blocks = window->kernel_height * ((n + 1) >> 1);
  int8_t *const first = (int8_t *)((uint32_t *)scratch + TINYML_MUL32_BLOCK * blocks);
  for (int32_t x = 0; x < span->out_width; x += 2) {
    const int32_t pixels = tinyml_min(span->out_width - x, 2);
    uint32_t *to = scratch;
    for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
      const int8_t *const a = row_of_window(window, span, rows[ky], x, first);
      const int8_t *const b =
          pixels == 1 ? a : row_of_window(window, span, rows[ky], x + 1, first + n);
      to = tinyml_mul32_pack(a, b, n, to);
    }
    tinyml_mul32_filters(&op->filters, scratch, blocks, pixels, out);
    out += 2 * op->filters.out_channels;
  }
}
