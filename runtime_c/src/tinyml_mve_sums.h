/* Sums of bytes over pixels with Helium, and what becomes of them. */
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

/* Bytes whose sum fits 16 bits, and channels summed together in these. */
#define TINYML_MVE_SUMS_MOST 256
#define TINYML_MVE_SUMS_LANES 16

/* The same in 16 bits, for 16 channels, or for 8 of which `p` leaves some out. */
static inline int16x8x2_t tinyml_mve_add_pixels16(int16x8x2_t sums, const int8_t *from,
                                                  int32_t pixels, int32_t channels) {
  for (int32_t i = 0; i < pixels; ++i, from += channels) {
    sums.val[0] = vaddq_s16(sums.val[0], vldrbq_s16(from));
    sums.val[1] = vaddq_s16(sums.val[1], vldrbq_s16(from + 8));
  }
  return sums;
}

static inline int16x8_t tinyml_mve_add_pixels8(int16x8_t sums, const int8_t *from, int32_t pixels,
                                               int32_t channels, mve_pred16_t p) {
  for (int32_t i = 0; i < pixels; ++i, from += channels) {
    sums = vaddq_s16(sums, vldrbq_z_s16(from, p));
  }
  return sums;
}

/* acc plus the sums of 8 channels, or of the first `left` of them: even and odd lanes are widened
 * apart. */
static inline void tinyml_mve_add_to(int32_t *acc, int16x8_t sums, int32_t left) {
  const uint32x4_t even = vmulq_n_u32(vidupq_n_u32(0, 1), 8), odd = vaddq_n_u32(even, 4);
  const mve_pred16_t p = vctp32q((uint32_t)(left + 1) / 2), q = vctp32q((uint32_t)left / 2);
  const int32x4_t a = vaddq_s32(vldrwq_gather_offset_z_s32(acc, even, p), vmovlbq_s16(sums));
  const int32x4_t b = vaddq_s32(vldrwq_gather_offset_z_s32(acc, odd, q), vmovltq_s16(sums));
  vstrwq_scatter_offset_p_s32(acc, even, a, p);
  vstrwq_scatter_offset_p_s32(acc, odd, b, q);
}

/* acc plus the sums of a row of [width, channels] */
static inline void tinyml_mve_sums_add(int32_t *acc, const int8_t *row, int32_t width,
                                       int32_t channels) {
  const int16x8_t zero = vdupq_n_s16(0);
  for (; width > 0; width -= TINYML_MVE_SUMS_MOST, row += TINYML_MVE_SUMS_MOST * channels) {
    const int32_t pixels = tinyml_min(width, TINYML_MVE_SUMS_MOST);
    int32_t channel = 0;
    for (; channel + TINYML_MVE_SUMS_LANES <= channels; channel += TINYML_MVE_SUMS_LANES) {
      int16x8x2_t sums = {{zero, zero}};
      sums = tinyml_mve_add_pixels16(sums, row + channel, pixels, channels);
      tinyml_mve_add_to(acc + channel, sums.val[0], 8);
      tinyml_mve_add_to(acc + channel + 8, sums.val[1], 8);
    }
    for (; channel < channels; channel += 8) {
      const int32_t left = channels - channel;
      const mve_pred16_t p = vctp16q((uint32_t)left);
      const int16x8_t sums = tinyml_mve_add_pixels8(zero, row + channel, pixels, channels, p);
      tinyml_mve_add_to(acc + channel, sums, tinyml_min(left, 8));
    }
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

/* The same with sums of at most TINYML_MVE_SUMS_MOST bytes, `reciprocal` that of 2^16: a remainder
 * is less than twice the count, and 2^15, the absolute value of the least sum, is unsigned. */
static inline int16x8_t tinyml_mve_rounded_mean16(int16x8_t sums, tinyml_mve_divisor by) {
  const int16x8_t sign = vshrq_n_s16(sums, 15);
  const int16x8_t n = vaddq_n_s16(vabsq_s16(sums), (int16_t)(by.count / 2));
  const uint16x8_t high =
      vmulhq_u16(vreinterpretq_u16_s16(n), vdupq_n_u16((uint16_t)(by.reciprocal >> 16)));
  const int16x8_t low = vreinterpretq_s16_u16(high);
  const int16x8_t rest = vsubq_s16(vmulq_n_s16(low, (int16_t)by.count), n); /* negated */
  const int16x8_t mean =
      vsubq_s16(low, vshrq_n_s16(vaddq_n_s16(rest, (int16_t)(by.count - 1)), 15));
  return vsubq_s16(veorq_s16(mean, sign), sign);
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
