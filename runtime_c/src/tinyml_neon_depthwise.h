/* Depthwise convolution with NEON: sixteen lanes at a time, taps in pairs (see tinyml_neon.h). */
#ifndef TINYML_NEON_DEPTHWISE_H
#define TINYML_NEON_DEPTHWISE_H

#include "tinyml_neon.h"

enum { TINYML_NEON_LANES = 16 };

/* Adds sixteen sums of two products, or single products. */
static inline int32x4x4_t tinyml_neon_add(int32x4x4_t sums, int16x8_t low, int16x8_t high) {
  sums.val[0] = vaddw_s16(sums.val[0], vget_low_s16(low));
  sums.val[1] = vaddw_high_s16(sums.val[1], low);
  sums.val[2] = vaddw_s16(sums.val[2], vget_low_s16(high));
  sums.val[3] = vaddw_high_s16(sums.val[3], high);
  return sums;
}

/* sums + x * v */
static inline int32x4x4_t tinyml_neon_tap(int32x4x4_t sums, int8x16_t x, int8x16_t v) {
  return tinyml_neon_add(sums, vmull_s8(vget_low_s8(x), vget_low_s8(v)), vmull_high_s8(x, v));
}

/* sums + x * v + y * w */
static inline int32x4x4_t tinyml_neon_taps(int32x4x4_t sums, int8x16_t x, int8x16_t v, int8x16_t y,
                                           int8x16_t w) {
  const int16x8_t low = vmull_s8(vget_low_s8(x), vget_low_s8(v));
  const int16x8_t high = vmull_high_s8(x, v);
  return tinyml_neon_add(sums, vmlal_s8(low, vget_low_s8(y), vget_low_s8(w)),
                         vmlal_high_s8(high, y, w));
}

/* Sixteen words of a table. */
static inline int32x4x4_t tinyml_neon_words(const int32_t *from) {
  const int32x4x4_t words = {
      {vld1q_s32(from), vld1q_s32(from + 4), vld1q_s32(from + 8), vld1q_s32(from + 12)}};
  return words;
}

/* How sixteen sums become outputs. */
typedef struct {
  int32x4x4_t multipliers;
  int32x4x4_t rights;
  int32x4x4_t lefts;
} tinyml_neon_scales;

static inline tinyml_neon_scales tinyml_neon_scales_at(const int32_t *from) {
  const tinyml_neon_scales scales = {tinyml_neon_words(from), tinyml_neon_words(from + 16),
                                     tinyml_neon_words(from + 32)};
  return scales;
}

static inline int8x16_t tinyml_neon_finish(int32x4x4_t sums, const tinyml_neon_scales *by,
                                           const tinyml_neon_limits *limits) {
  const int32x4x4_t x = {{tinyml_neon_rescale(sums.val[0], by->multipliers.val[0],
                                              by->rights.val[0], by->lefts.val[0]),
                          tinyml_neon_rescale(sums.val[1], by->multipliers.val[1],
                                              by->rights.val[1], by->lefts.val[1]),
                          tinyml_neon_rescale(sums.val[2], by->multipliers.val[2],
                                              by->rights.val[2], by->lefts.val[2]),
                          tinyml_neon_rescale(sums.val[3], by->multipliers.val[3],
                                              by->rights.val[3], by->lefts.val[3])}};
  return tinyml_neon_to_s8(limits, x);
}

#endif
