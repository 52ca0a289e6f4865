/* Sums of products become outputs: see TINYML_RESCALE_EXACT. */
#ifndef TINYML_RESCALE_H
#define TINYML_RESCALE_H

#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

/* Nothing is loaded earlier than it stands: compilers that schedule loads before they assign
 * registers otherwise load all of an unrolled loop at once, and have to put it aside again. */
#define TINYML_LOAD_NO_EARLIER __asm__ volatile("" ::: "memory")

/* The upper half of a * b; 0 <= b. */
static inline int32_t tinyml_upper_half(int32_t a, int32_t b) {
#if defined(__ARM_ARCH_6M__)
  /* There is no long multiplication: four short ones (H. S. Warren, Hacker's Delight, 8-2). */
  const int32_t high = a >> 16;
  const uint32_t low = (uint32_t)a & 0xFFFFu;
  const uint32_t b_high = (uint32_t)b >> 16, b_low = (uint32_t)b & 0xFFFFu;
  const int32_t middle = high * (int32_t)b_low + (int32_t)(low * b_low >> 16);
  const uint32_t other = low * b_high + ((uint32_t)middle & 0xFFFFu);
  return high * (int32_t)b_high + (middle >> 16) + (int32_t)(other >> 16);
#else
  return (int32_t)((int64_t)a * b >> 32);
#endif
}

/* x within low..high, which are within an int8_t. */
static inline int8_t tinyml_limited(int32_t x, int32_t low, int32_t high) {
#if defined(__ARM_FEATURE_SAT)
  if (high == INT8_MAX) {
    if (x < low) x = low;
    __asm__("ssat %0, #8, %0" : "+r"(x));
    return (int8_t)x;
  }
#endif
  if (x < low) x = low;
  if (x > high) x = high;
  return (int8_t)x;
}

/* What the outputs of one channel have in common. */
typedef struct {
  uint32_t bias;
  int32_t multiplier;
  int32_t shift;
} tinyml_channel;

static inline tinyml_channel tinyml_channel_at(const tinyml_filters *f, int32_t channel) {
  const int32_t q = f->per_channel ? channel : 0;
  const tinyml_channel at = {(uint32_t)f->biases[channel], f->multipliers[q], f->shifts[q]};
  return at;
}

static inline int8_t tinyml_rescale_line(const tinyml_channel *at, int32_t left, int32_t low,
                                         int32_t high, uint32_t sum) {
  const int32_t x = (int32_t)((sum << left) + at->bias);
  return tinyml_limited(tinyml_upper_half(x, at->multiplier) >> at->shift, low, high);
}

static inline int8_t tinyml_rescale_bent(const tinyml_filters *f, const tinyml_channel *at,
                                         uint32_t sum) {
  const int32_t x = (int32_t)((sum << f->left) + at->bias);
  int32_t h = tinyml_upper_half(x, at->multiplier);
  h -= (h >> 31) & ((int32_t)1 << (f->left - 1));
  return tinyml_limited(((h >> at->shift) + 2 * f->output_zero_point + 1) >> 1, f->act_min,
                        f->act_max);
}

static inline int8_t tinyml_rescale_exact(const tinyml_filters *f, const tinyml_channel *at,
                                          uint32_t sum) {
  return tinyml_to_s8(tinyml_requantize((int32_t)(sum + at->bias), at->multiplier, at->shift),
                      f->output_zero_point, f->act_min, f->act_max);
}

/* An output from its sum, where time does not matter. */
__attribute__((noinline, weak)) int8_t tinyml_rescaled(const tinyml_filters *f, uint32_t sum,
                                                       int32_t channel) {
  const tinyml_channel at = tinyml_channel_at(f, channel);
  if (f->rescale == TINYML_RESCALE_LINE) {
    return tinyml_rescale_line(&at, f->left, f->act_min, f->act_max, sum);
  }
  if (f->rescale == TINYML_RESCALE_BENT) return tinyml_rescale_bent(f, &at, sum);
  return tinyml_rescale_exact(f, &at, sum);
}

#endif
