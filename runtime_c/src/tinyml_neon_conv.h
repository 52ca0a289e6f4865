/* The convolutions and the dense layer for NEON, with or without dot product instructions: see
 * tinyml_neon.h. Each kernel's file calls one of these. */
#ifndef TINYML_NEON_CONV_H
#define TINYML_NEON_CONV_H

#include "tinyml_neon.h"

#define TINYML_GATHER_COPY tinyml_neon_copy
#include "tinyml_gather.h"

static inline void tinyml_neon_conv_1x1(const tinyml_conv_1x1_s8_neon_op *op,
                                        const tinyml_span *span, const int8_t *const *rows,
                                        int8_t *out) {
  const tinyml_neon_vectors v = {rows, NULL, 0, 1, op->in_channels, op->stride_x * op->in_channels};
  tinyml_neon_filter_row(&op->filters, v, span->out_width, out);
}

static inline void tinyml_neon_fully_connected(const tinyml_fully_connected_s8_neon_op *op,
                                               const int8_t *in, int8_t *out) {
  const tinyml_neon_vectors v = {NULL, in, 0, 1, op->in_features, op->in_features};
  tinyml_neon_filter(&op->filters, &v, 1, out);
}

/* Windows that lie whole in their rows are read there, others from a copy. */
static inline void tinyml_neon_conv(const tinyml_conv_s8_neon_op *op, const tinyml_span *span,
                                    const int8_t *const *rows, int8_t *out, void *scratch) {
  const tinyml_conv_window *window = &op->window;
  const int32_t stride = window->stride_x, pixel = window->in_channels;
  const int32_t taps = tinyml_conv_taps(window);
  const int32_t pieces = op->by_rows ? window->kernel_height : 1;
  const int32_t n = taps / pieces;
  const tinyml_neon_vectors copied = {NULL, scratch, 0, pieces, n, taps};
  int32_t in_place = op->by_rows;
  for (int32_t ky = 0; ky < window->kernel_height; ++ky) in_place &= rows[ky] != NULL;
  for (int32_t x = 0; x < span->out_width; x += TINYML_NEON_VECTORS) {
    const int32_t vectors = tinyml_min(span->out_width - x, TINYML_NEON_VECTORS);
    const int32_t origin = x * stride - span->pad_left;
    const int32_t end = origin + (vectors - 1) * stride + window->kernel_width;
    if (in_place && origin >= 0 && end <= span->in_width) {
      const tinyml_neon_vectors v = {rows, NULL, origin * pixel, pieces, n, stride * pixel};
      tinyml_neon_filter(&op->filters, &v, vectors, out);
    } else {
      int8_t *to = scratch;
      for (int32_t i = 0; i < vectors; ++i) to = tinyml_gather(window, span, rows, x + i, to);
      tinyml_neon_filter(&op->filters, &copied, vectors, out);
    }
    out += vectors * op->filters.out_channels;
  }
}

#endif
