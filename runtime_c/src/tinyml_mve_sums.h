/* Sums of bytes over pixels with Helium, four channels at a time, and what becomes of them. */
#ifndef TINYML_MVE_SUMS_H
#define TINYML_MVE_SUMS_H

#include "tinyml_mve.h"

/* sums plus those of `pixels` pixels of `channels` channels, of which four begin at `from`; lanes
 * that `p` leaves out stay. */
static inline int32x4_t tinyml_mve_add_pixels(int32x4_t sums, const int8_t *from, int32_t pixels,
                                              int32_t channels, mve_pred16_t p) {
  for (int32_t i = 0; i < pixels; ++i, from += channels) {
    sums = vaddq_s32(sums, vldrbq_z_s32(from, p));
  }
  return sums;
}

/* acc plus the sums of a row of [width, channels] */
static inline void tinyml_mve_sums_add(int32_t *acc, const int8_t *row, int32_t width,
                                       int32_t channels) {
  for (int32_t left = channels; left > 0; left -= 4, acc += 4, row += 4) {
    const mve_pred16_t p = vctp32q((uint32_t)left);
    vstrwq_p_s32(acc, tinyml_mve_add_pixels(vldrwq_z_s32(acc, p), row, width, channels, p), p);
  }
}

/* What divides by a count, 1 <= count < 2^24: `reciprocal` is 2^32 / count, rounded down or less
 * by one. */
typedef struct {
  int32_t count;
  uint32_t reciprocal;
} tinyml_mve_divisor;

static inline tinyml_mve_divisor tinyml_mve_divisor_of(int32_t count) {
  const tinyml_mve_divisor by = {count, UINT32_MAX / (uint32_t)count};
  return by;
}

/* tinyml_rounded_mean. The reciprocal is too small by so little that quotients are right or less by
 * one, which their remainders tell. */
static inline int32x4_t tinyml_mve_rounded_mean(int32x4_t sums, tinyml_mve_divisor by) {
  const int32x4_t sign = vshrq_n_s32(sums, 31);
  const int32x4_t n = vaddq_n_s32(vabsq_s32(sums), by.count / 2);
  const uint32x4_t high = vmulhq_u32(vreinterpretq_u32_s32(n), vdupq_n_u32(by.reciprocal));
  const int32x4_t low = vreinterpretq_s32_u32(high);
  const int32x4_t rest = vsubq_s32(vmulq_n_s32(low, by.count), n); /* negated */
  const int32x4_t mean = vsubq_s32(low, vshrq_n_s32(vaddq_n_s32(rest, by.count - 1), 31));
  return vsubq_s32(veorq_s32(mean, sign), sign);
}

/* tinyml_to_s8(tinyml_requantize(sums - zero_points)) */
static inline int32x4_t tinyml_mve_mean(int32x4_t sums, int32_t zero_points, tinyml_scale scale,
                                        int32_t zero_point) {
  const int32_t left = tinyml_max(scale.shift, 0);
  const tinyml_mve_output all = {vdupq_n_s32(INT8_MIN - zero_point),
                                 vdupq_n_s32(INT8_MAX - zero_point), zero_point, 1};
  const int32x4_t y =
      tinyml_mve_rescale_exact(vsubq_n_s32(sums, zero_points), vdupq_n_s32(scale.multiplier),
                               vdupq_n_s32(scale.shift - left), vdupq_n_s32(left));
  return tinyml_mve_clamp(y, &all);
}

#endif
