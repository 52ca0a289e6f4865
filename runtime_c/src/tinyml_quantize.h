/* Float to integer without libm. */
#ifndef TINYML_QUANTIZE_H
#define TINYML_QUANTIZE_H

#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

/* round(real / scale) + zero_point with halves away from zero, clamped to low..high, which lie
 * within 17 bits; NaN gives the zero point. */
static inline int32_t tinyml_quantize(const tinyml_affine_op *op, float real, int32_t low,
                                      int32_t high) {
  const float limit = 131072.0f; /* beyond any result, and exact in int32_t and float */
  const float steps = real / op->scale;
  int32_t q = 0;
  if (steps >= limit) {
    q = (int32_t)limit;
  } else if (steps <= -limit) {
    q = -(int32_t)limit;
  } else if (steps == steps) { /* not NaN */
    q = (int32_t)steps;
    const float rest = steps - (float)q;
    if (rest >= 0.5f) {
      ++q;
    } else if (rest <= -0.5f) {
      --q;
    }
  }
  return tinyml_clamp(q + op->zero_point, low, high);
}

#endif
