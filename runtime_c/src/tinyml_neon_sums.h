/* Sums of bytes over pixels with NEON, sixteen channels at a time, and what becomes of them. */
#ifndef TINYML_NEON_SUMS_H
#define TINYML_NEON_SUMS_H

#include "tinyml_neon.h"

/* The first n of the bytes at `from`, at most sixteen. */
static inline int8x16_t tinyml_neon_load(const int8_t *from, int32_t n) {
  int8_t copy[TINYML_NEON_STEP] = {0};
  if (n >= TINYML_NEON_STEP) return vld1q_s8(from);
  memcpy(copy, from, (size_t)n);
  return vld1q_s8(copy);
}

/* Stores the first n bytes, at most sixteen. */
static inline void tinyml_neon_put(int8_t *to, int8x16_t x, int32_t n) {
  int8_t copy[TINYML_NEON_STEP];
  if (n >= TINYML_NEON_STEP) {
    vst1q_s8(to, x);
    return;
  }
  vst1q_s8(copy, x);
  memcpy(to, copy, (size_t)n);
}

/* sums + x */
static inline int32x4x4_t tinyml_neon_add_bytes(int32x4x4_t sums, int8x16_t x) {
  const int16x8_t low = vmovl_s8(vget_low_s8(x)), high = vmovl_high_s8(x);
  sums.val[0] = vaddw_s16(sums.val[0], vget_low_s16(low));
  sums.val[1] = vaddw_high_s16(sums.val[1], low);
  sums.val[2] = vaddw_s16(sums.val[2], vget_low_s16(high));
  sums.val[3] = vaddw_high_s16(sums.val[3], high);
  return sums;
}

/* sums plus those of `pixels` pixels of `channels` channels, of which n, at most sixteen, begin at
 * `from`. */
static inline int32x4x4_t tinyml_neon_add_pixels(int32x4x4_t sums, const int8_t *from,
                                                 int32_t pixels, int32_t channels, int32_t n) {
  if (n == TINYML_NEON_STEP) {
    for (int32_t i = 0; i < pixels; ++i, from += channels) {
      sums = tinyml_neon_add_bytes(sums, vld1q_s8(from));
    }
    return sums;
  }
  for (int32_t i = 0; i < pixels; ++i, from += channels) {
    sums = tinyml_neon_add_bytes(sums, tinyml_neon_load(from, n));
  }
  return sums;
}

static inline int32x4x4_t tinyml_neon_zeros(void) {
  const int32x4_t zero = vdupq_n_s32(0);
  const int32x4x4_t zeros = {{zero, zero, zero, zero}};
  return zeros;
}

/* The first n words at `from`, at most sixteen. */
static inline int32x4x4_t tinyml_neon_sums_at(const int32_t *from, int32_t n) {
  int32_t copy[TINYML_NEON_STEP] = {0};
  if (n == TINYML_NEON_STEP) return vld1q_s32_x4(from);
  memcpy(copy, from, (size_t)n * sizeof *from);
  return vld1q_s32_x4(copy);
}

/* acc plus the sums of a row of [width, channels] */
static inline void tinyml_neon_sums_add(int32_t *acc, const int8_t *row, int32_t width,
                                        int32_t channels) {
  for (int32_t left = channels; left > 0; left -= TINYML_NEON_STEP) {
    const int32_t n = tinyml_min(left, TINYML_NEON_STEP);
    const int32x4x4_t sums =
        tinyml_neon_add_pixels(tinyml_neon_sums_at(acc, n), row, width, channels, n);
    if (n == TINYML_NEON_STEP) {
      vst1q_s32_x4(acc, sums);
    } else {
      int32_t copy[TINYML_NEON_STEP];
      vst1q_s32_x4(copy, sums);
      memcpy(acc, copy, (size_t)n * sizeof *acc);
    }
    acc += n;
    row += n;
  }
}

/* tinyml_rounded_mean of four sums; 1 <= count < 2^24. `reciprocal`, (2^32 - 1) / count, is too
 * small by so little that quotients are right or less by one, which their remainders tell. */
static inline int32x4_t tinyml_neon_divided(int32x4_t sums, int32_t count, uint32_t reciprocal) {
  const int32x4_t sign = vshrq_n_s32(sums, 31);
  const uint32x4_t n = vreinterpretq_u32_s32(vaddq_s32(vabsq_s32(sums), vdupq_n_s32(count / 2)));
  const uint32x4_t by = vdupq_n_u32(reciprocal);
  const uint64x2_t low = vmull_u32(vget_low_u32(n), vget_low_u32(by));
  const uint64x2_t high = vmull_high_u32(n, by);
  const uint32x4_t mean = vuzp2q_u32(vreinterpretq_u32_u64(low), vreinterpretq_u32_u64(high));
  const uint32x4_t rest = vmlsq_u32(n, mean, vdupq_n_u32((uint32_t)count));
  /* All ones where the remainder is no remainder. */
  const uint32x4_t more = vcgeq_u32(rest, vdupq_n_u32((uint32_t)count));
  const int32x4_t x = vreinterpretq_s32_u32(vsubq_u32(mean, more));
  return vsubq_s32(veorq_s32(x, sign), sign);
}

/* tinyml_rounded_mean of sixteen sums, clamped. */
static inline int8x16_t tinyml_neon_rounded_mean(int32x4x4_t sums, int32_t count, int32_t act_min,
                                                 int32_t act_max) {
  const tinyml_neon_limits limits = tinyml_neon_limits_of(0, act_min, act_max);
  const uint32_t reciprocal = UINT32_MAX / (uint32_t)count;
  for (int32_t i = 0; i < 4; ++i) {
    sums.val[i] = tinyml_neon_divided(sums.val[i], count, reciprocal);
  }
  return tinyml_neon_to_s8(&limits, sums);
}

/* tinyml_to_s8(tinyml_requantize(sums - zero_points)) */
static inline int8x16_t tinyml_neon_mean(int32x4x4_t sums, int32_t zero_points, tinyml_scale scale,
                                         int32_t zero_point) {
  const tinyml_neon_limits limits = tinyml_neon_limits_of(zero_point, INT8_MIN, INT8_MAX);
  const int32_t left = tinyml_max(scale.shift, 0);
  for (int32_t i = 0; i < 4; ++i) {
    sums.val[i] = tinyml_neon_rescale(vsubq_s32(sums.val[i], vdupq_n_s32(zero_points)),
                                      vdupq_n_s32(scale.multiplier),
                                      vdupq_n_s32(scale.shift - left), vdupq_n_s32(left));
  }
  return tinyml_neon_to_s8(&limits, sums);
}

#endif
