/* gemmlowp's fixed-point primitives, bit for bit, without undefined behaviour.
 *
 * Sums and products of activations wrap in two's complement, as they do in TFLM on every target
 * that matters; so a hostile bias or multiplier gives a wrong number and nothing worse. Right
 * shifts of negative numbers are arithmetic and conversions to int32_t are modulo 2^32: C99 leaves
 * both to the compiler, and GCC and Clang define them so.
 */
#ifndef TINYML_FIXEDPOINT_H
#define TINYML_FIXEDPOINT_H

#include <stdint.h>

static inline int32_t tinyml_min(int32_t a, int32_t b) { return a < b ? a : b; }

static inline int32_t tinyml_max(int32_t a, int32_t b) { return a > b ? a : b; }

static inline int32_t tinyml_clamp(int32_t x, int32_t low, int32_t high) {
  return tinyml_min(tinyml_max(x, low), high);
}

/* sum / count, ties away from zero; count > 0 */
static inline int32_t tinyml_rounded_mean(int32_t sum, int32_t count) {
  return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

/* x + zero_point, clamped to low..high; exact for every x, as the sum is not formed first */
static inline int8_t tinyml_to_s8(int32_t x, int32_t zero_point, int32_t low, int32_t high) {
  return (int8_t)(tinyml_clamp(x, low - zero_point, high - zero_point) + zero_point);
}

/* a + b modulo 2^32 */
static inline int32_t tinyml_add(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)a + (uint32_t)b);
}

/* a - b modulo 2^32 */
static inline int32_t tinyml_sub(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)a - (uint32_t)b);
}

/* x * 2^bits modulo 2^32; 0 <= bits <= 31 */
static inline int32_t tinyml_shift_left(int32_t x, int32_t bits) {
  return (int32_t)((uint32_t)x << bits);
}

/* round(a * b / 2^31), ties towards +infinity; not both -2^31
 * (gemmlowp SaturatingRoundingDoublingHighMul: its sign-dependent nudge and truncating division
 * come to this floor of the sum with one half; multipliers are never negative, so that nothing
 * saturates). */
static inline int32_t tinyml_high_mul(int32_t a, int32_t b) {
  return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* round(x / 2^exponent), ties away from zero; 0 <= exponent <= 31
 * (gemmlowp RoundingDivideByPOT). */
static inline int32_t tinyml_rounding_shift_right(int32_t x, int32_t exponent) {
  const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1);
  const int32_t threshold = (mask >> 1) + (x < 0);
  return (x >> exponent) + ((x & mask) > threshold);
}

/* x * 2^exponent, saturating; 0 < exponent < 31
 * (gemmlowp SaturatingRoundingMultiplyByPOT). */
static inline int32_t tinyml_saturating_shift_left(int32_t x, int32_t exponent) {
  const int32_t threshold = ((int32_t)1 << (31 - exponent)) - 1;
  if (x > threshold) return INT32_MAX;
  if (x < -threshold) return INT32_MIN;
  return tinyml_shift_left(x, exponent);
}

/* x * multiplier * 2^(shift - 31) with gemmlowp's two roundings; multiplier >= 0, -31 <= shift <= 0
 * (TFLite MultiplyByQuantizedMultiplierSmallerThanOneExp). */
static inline int32_t tinyml_requantize_down(int32_t x, int32_t multiplier, int32_t shift) {
  return tinyml_rounding_shift_right(tinyml_high_mul(x, multiplier), -shift);
}

/* The same for -31 <= shift <= -2, in fewer instructions. The second rounding goes by the sign of
 * what the first gives, which is that of x, unless the first gives 0, which rounds to 0 either way.
 * So its nudge, one unit down below zero, may join that of the first, 2^30, and then only the upper
 * half of the product is needed. */
static inline int32_t tinyml_requantize_far_down(int32_t x, int32_t multiplier, int32_t shift) {
  const uint32_t sign = (uint32_t)(x >> 31);
  const uint64_t nudge = (uint64_t)sign << 32 | (((uint32_t)1 << 30) + (sign << 31));
  const int32_t high = (int32_t)(((int64_t)x * multiplier + (int64_t)nudge) >> 32);
  return ((high >> (-2 - shift)) + 1) >> 1;
}

/* The same for 0 <= shift <= 30; the left shift wraps
 * (TFLite MultiplyByQuantizedMultiplierGreaterThanOne). */
static inline int32_t tinyml_requantize_up(int32_t x, int32_t multiplier, int32_t shift) {
  return tinyml_high_mul(tinyml_shift_left(x, shift), multiplier);
}

/* The same for any shift in -31..30 (TFLite MultiplyByQuantizedMultiplier). */
static inline int32_t tinyml_requantize(int32_t x, int32_t multiplier, int32_t shift) {
  const int32_t left = tinyml_max(shift, 0);
  return tinyml_requantize_down(tinyml_shift_left(x, left), multiplier, shift - left);
}

#endif
