/* Losses, with exp and log that have the same bits everywhere. */
#ifndef TINYML_TRAIN_LOSS_H
#define TINYML_TRAIN_LOSS_H

#include <string.h>

#include "tinyml_train_common.h"

/* ln 2 in 9 bits, so that its product with a whole number below 2^15 is exact, and what is left */
#define TINYML_TRAIN_LN2_HIGH 0.693359375f
#define TINYML_TRAIN_LN2_LOW -2.12194440e-4f

static inline float tinyml_train_float(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* exp(x) for x <= 0, within 2 units in the last place; 0 below -87 */
static inline float tinyml_train_exp(float x) {
  if (x < -87.0f) return 0.0f;
  const float near = x * 1.44269504f + 0.5f;
  int32_t n = (int32_t)near;
  if ((float)n > near) --n;
  const float whole = (float)n;
  const float r = (x - whole * TINYML_TRAIN_LN2_HIGH) - whole * TINYML_TRAIN_LN2_LOW;
  float total = 1.0f / 5040;
  total = total * r + 1.0f / 720;
  total = total * r + 1.0f / 120;
  total = total * r + 1.0f / 24;
  total = total * r + 1.0f / 6;
  total = total * r + 0.5f;
  total = total * r + 1.0f;
  total = total * r + 1.0f;
  return total * tinyml_train_float((uint32_t)(n + 127) << 23);
}

/* ln(x) of a normal x > 0, within 4 units in the last place of max(ln x, 1) */
static inline float tinyml_train_log(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  int32_t e = (int32_t)(bits >> 23) - 126;
  float m = tinyml_train_float((bits & 0x7FFFFFu) | 126u << 23); /* in [1/2, 1) */
  if (m < 0.75f) {
    m *= 2.0f;
    --e;
  }
  const float t = (m - 1.0f) / (m + 1.0f);
  const float square = t * t;
  const float whole = (float)e;
  float series = 1.0f / 9;
  series = series * square + 1.0f / 7;
  series = series * square + 1.0f / 5;
  series = series * square + 1.0f / 3;
  series = series * square + 1.0f;
  return (2.0f * t * series + whole * TINYML_TRAIN_LN2_LOW) + whole * TINYML_TRAIN_LN2_HIGH;
}

/* exp(z - max) over a row of z, in place; their sum */
static inline float tinyml_train_powers(float *z, int32_t count) {
  float max = z[0], sum = 0.0f;
  for (int32_t i = 1; i < count; ++i) {
    if (z[i] > max) max = z[i];
  }
  for (int32_t i = 0; i < count; ++i) {
    z[i] = tinyml_train_exp(z[i] - max);
    sum += z[i];
  }
  return sum;
}

/* The real value of a logit. */
TINYML_TRAIN_INLINE float tinyml_train_logit(const tinyml_train_loss_op *op, const void *logits,
                                             int32_t at, int s8) {
  const float value = tinyml_train_value(logits, at, op->zero_point, s8);
  return s8 ? value * op->scale : value;
}

TINYML_TRAIN_INLINE void tinyml_train_cross_entropy(const tinyml_train_loss_op *op,
                                                    const void *logits, const int32_t *label,
                                                    float *gradient, float *loss, int s8) {
  float max = tinyml_train_logit(op, logits, 0, s8);
  for (int32_t i = 0; i < op->count; ++i) {
    gradient[i] = tinyml_train_logit(op, logits, i, s8);
    if (gradient[i] > max) max = gradient[i];
  }
  const float shifted = gradient[*label] - max;
  const float sum = tinyml_train_powers(gradient, op->count);
  for (int32_t i = 0; i < op->count; ++i) gradient[i] = gradient[i] / sum;
  gradient[*label] -= 1.0f;
  *loss = tinyml_train_log(sum) - shifted;
}

TINYML_TRAIN_INLINE void tinyml_train_mse(const tinyml_train_loss_op *op, const void *y,
                                          const float *target, float *gradient, float *loss,
                                          int s8) {
  float sum = 0.0f;
  for (int32_t i = 0; i < op->count; ++i) {
    const float error = tinyml_train_logit(op, y, i, s8) - target[i];
    sum += error * error;
    gradient[i] = error * op->gradient_factor;
  }
  *loss = sum * op->loss_factor;
}

#endif
