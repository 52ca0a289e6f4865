/* Sums of products become outputs: see TINYML_RESCALE_EXACT. */
#ifndef TINYML_RESCALE_H
#define TINYML_RESCALE_H

#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

/* Nothing is loaded earlier than it stands: compilers that schedule loads before they assign
 * registers otherwise load all of an unrolled loop at once, and have to put it aside again. */
#define TINYML_LOAD_NO_EARLIER __asm__ volatile("" ::: "memory")

/* Processors with some thirty registers compute more at a time. */
#if defined(__riscv) || defined(__aarch64__) || defined(__x86_64__)
#define TINYML_REGISTERS_30
#endif

#define TINYML_INLINE static inline __attribute__((always_inline))

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
  if (x < low) x = low;
  if (x > high) x = high;
  return (int8_t)x;
}

/* x within the limits of an int8_t. */
static inline int8_t tinyml_saturated(int32_t x) {
#if defined(__ARM_FEATURE_SAT)
  __asm__("ssat %0, #8, %0" : "+r"(x));
  return (int8_t)x;
#else
  return tinyml_limited(x, INT8_MIN, INT8_MAX);
#endif
}

/* Forms of the loop below: TINYML_RESCALE_..., and the line below nothing but a byte's limits. */
#define TINYML_RESCALE_PLAIN 3

TINYML_INLINE int8_t tinyml_rescaled(const tinyml_filters *f, int form, int32_t sum, int32_t bias,
                                     int32_t multiplier, int32_t shift) {
  const int32_t left = f->left, low = f->act_min, high = f->act_max;
  int32_t h;
  if (form == TINYML_RESCALE_EXACT) {
    const int32_t x = tinyml_requantize(tinyml_add(sum, bias), multiplier, shift);
    return tinyml_to_s8(x, f->output_zero_point, low, high);
  }
  h = tinyml_upper_half((int32_t)(((uint32_t)sum << left) + (uint32_t)bias), multiplier);
  if (form == TINYML_RESCALE_BENT) {
    h -= (h >> 31) & ((int32_t)1 << (left - 1));
    return tinyml_limited(((h >> shift) + 2 * f->output_zero_point + 1) >> 1, low, high);
  }
  h >>= shift;
  return form == TINYML_RESCALE_PLAIN ? tinyml_saturated(h) : tinyml_limited(h, low, high);
}

/* `form` and `pixels` are constant. */
TINYML_INLINE void tinyml_outputs_of(const tinyml_filters *f, int form, const int32_t *sums,
                                     int32_t pixels, int32_t step, int32_t channel, int32_t count,
                                     int8_t *out) {
  const tinyml_filters g = *f; /* a copy that the stores through `out` cannot touch */
  const TINYML_FLASH int32_t *at = g.channels + TINYML_CHANNEL_WORDS * channel;
  int8_t *const end = out + count;
  for (; out < end; ++out, at += TINYML_CHANNEL_WORDS) {
    const int32_t bias = at[0], multiplier = at[1], shift = at[2];
    int8_t *to = out;
    for (int32_t i = 0; i < pixels; ++i, to += step) {
      *to = tinyml_rescaled(&g, form, *sums++, bias, multiplier, shift);
    }
  }
}

TINYML_INLINE void tinyml_outputs_in_form(const tinyml_filters *f, int form, const int32_t *sums,
                                          int32_t pixels, int32_t step, int32_t channel,
                                          int32_t count, int8_t *out) {
  if (pixels == 4) {
    tinyml_outputs_of(f, form, sums, 4, step, channel, count, out);
  } else if (pixels == 2) {
    tinyml_outputs_of(f, form, sums, 2, step, channel, count, out);
  } else {
    tinyml_outputs_of(f, form, sums, pixels, step, channel, count, out);
  }
}

/* The outputs of `count` channels from `channel` on, `pixels` of each, `step` apart, from their
 * sums, channel by channel. */
__attribute__((noinline, weak)) void tinyml_outputs(const tinyml_filters *f, const int32_t *sums,
                                                    int32_t pixels, int32_t step, int32_t channel,
                                                    int32_t count, int8_t *out) {
  if (f->rescale == TINYML_RESCALE_EXACT) {
    tinyml_outputs_of(f, TINYML_RESCALE_EXACT, sums, pixels, step, channel, count, out);
  } else if (f->rescale == TINYML_RESCALE_BENT) {
    tinyml_outputs_in_form(f, TINYML_RESCALE_BENT, sums, pixels, step, channel, count, out);
  } else if (f->act_max - f->act_min < 255) {
    tinyml_outputs_in_form(f, TINYML_RESCALE_LINE, sums, pixels, step, channel, count, out);
  } else {
    tinyml_outputs_in_form(f, TINYML_RESCALE_PLAIN, sums, pixels, step, channel, count, out);
  }
}

#endif
