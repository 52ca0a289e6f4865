/* The loop that all element-wise kernels of two operands share. */
#ifndef TINYML_BROADCAST_H
#define TINYML_BROADCAST_H

#include "tinyml_kernels.h"

/* Sets `out` to the expression `value` of the elements `a` and `b` (int32_t), over one row. A
 * macro, so that each kernel's arithmetic is inlined into its own loop. */
#define TINYML_FOR_EACH_PAIR(shape, span, rows, out, a, b, value)         \
  do {                                                                    \
    const int8_t *a_pixel = (rows)[0];                                    \
    const int8_t *b_pixel = (rows)[1];                                    \
    for (int32_t pixel = 0; pixel < (span)->out_width; ++pixel) {         \
      const int8_t *a_next = a_pixel;                                     \
      const int8_t *b_next = b_pixel;                                     \
      for (int32_t channel = 0; channel < (shape)->channels; ++channel) { \
        const int32_t a = *a_next;                                        \
        const int32_t b = *b_next;                                        \
        *(out)++ = (value);                                               \
        a_next += (shape)->a_channel_stride;                              \
        b_next += (shape)->b_channel_stride;                              \
      }                                                                   \
      a_pixel += (shape)->a_pixel_stride;                                 \
      b_pixel += (shape)->b_pixel_stride;                                 \
    }                                                                     \
  } while (0)

#endif
