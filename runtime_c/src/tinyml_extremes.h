/* The loops that reductions by a choice between two elements share. */
#ifndef TINYML_EXTREMES_H
#define TINYML_EXTREMES_H

#include "tinyml_kernels.h"

/* Sets each output to what `pick(int32_t, int32_t)` leaves of the elements reduced to it. A macro,
 * so that the choice is inlined. */
#define TINYML_REDUCE(op, in, out, pick)                                              \
  do {                                                                                \
    const TINYML_FLASH int32_t *kept = (op)->kept_sizes;                              \
    const TINYML_FLASH int32_t *far = (op)->kept_strides;                             \
    const TINYML_FLASH int32_t *n = (op)->reduced_sizes;                              \
    const TINYML_FLASH int32_t *near = (op)->reduced_strides;                         \
    for (int32_t i = 0; i < kept[0]; ++i) {                                           \
      for (int32_t j = 0; j < kept[1]; ++j) {                                         \
        for (int32_t k = 0; k < kept[2]; ++k) {                                       \
          const int8_t *first = (in) + i * far[0] + j * far[1] + k * far[2];          \
          int32_t best = *first;                                                      \
          for (int32_t a = 0; a < n[0]; ++a) {                                        \
            for (int32_t b = 0; b < n[1]; ++b) {                                      \
              const int8_t *x = first + a * near[0] + b * near[1];                    \
              for (int32_t c = 0; c < n[2]; ++c, x += near[2]) best = pick(best, *x); \
            }                                                                         \
          }                                                                           \
          *(out)++ = (int8_t)best;                                                    \
        }                                                                             \
      }                                                                               \
    }                                                                                 \
  } while (0)

#endif
