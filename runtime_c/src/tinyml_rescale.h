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

/* Armv6-M and the smaller Armv8-M. */
#if defined(__thumb__) && !defined(__thumb2__)
#define TINYML_THUMB1
#endif

#define TINYML_INLINE static inline __attribute__((always_inline))

#if defined(TINYML_THUMB1)
/* The upper half of a product of two words, without a long multiplication: four short ones (H. S.
 * Warren, Hacker's Delight, 8-2). All but the product of the upper halves make `low`, which
 * needs 33 bits; where it does not fit in 32, it is positive. */
#define TINYML_UPPER_HALF(a, low, middle, b_high, b_low) \
  "uxth " low ", " a                                     \
  "\n"                                                   \
  "mov " middle ", " low                                 \
  "\n"                                                   \
  "muls " middle ", " b_low ", " middle                  \
  "\n"                                                   \
  "lsrs " middle ", " middle                             \
  ", #16\n"                                              \
  "muls " low ", " b_high ", " low                       \
  "\n"                                                   \
  "adds " low ", " low ", " middle                       \
  "\n"                                                   \
  "asrs " a ", " a                                       \
  ", #16\n"                                              \
  "mov " middle ", " a                                   \
  "\n"                                                   \
  "muls " middle ", " b_low ", " middle                  \
  "\n"                                                   \
  "muls " a ", " b_high ", " a                           \
  "\n"                                                   \
  "adds " low ", " low ", " middle                       \
  "\n"                                                   \
  "asrs " low ", " low                                   \
  ", #16\n"                                              \
  "bvc 5f\n"                                             \
  "uxth " low ", " low                                   \
  "\n"                                                   \
  "5:\n"                                                 \
  "adds " a ", " a ", " low "\n"
#endif

/* The upper half of a * b; 0 <= b. */
static inline int32_t tinyml_upper_half(int32_t a, int32_t b) {
  return (int32_t)((int64_t)a * b >> 32);
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

/* A sum rescaled, but for the limits. */
TINYML_INLINE int32_t tinyml_rescaled(const tinyml_filters *f, int form, int32_t sum, int32_t bias,
                                      int32_t multiplier, int32_t shift) {
  int32_t h;
  if (form == TINYML_RESCALE_EXACT) {
    const int32_t x = tinyml_requantize(tinyml_add(sum, bias), multiplier, shift);
    return tinyml_to_s8(x, f->output_zero_point, f->act_min, f->act_max);
  }
  h = tinyml_upper_half((int32_t)(((uint32_t)sum << f->left) + (uint32_t)bias), multiplier);
  if (form == TINYML_RESCALE_BENT) {
    h -= (h >> 31) & ((int32_t)1 << (f->left - 1));
    return ((h >> shift) + 2 * f->output_zero_point + 1) >> 1;
  }
  return h >> shift;
}

TINYML_INLINE int8_t tinyml_within(const tinyml_filters *f, int form, int32_t x) {
  if (form == TINYML_RESCALE_EXACT) return (int8_t)x;
  return form == TINYML_RESCALE_PLAIN ? tinyml_saturated(x)
                                      : tinyml_limited(x, f->act_min, f->act_max);
}

#if defined(TINYML_THUMB1)
/* Where h is negative, it is less by 2^(left - 1). */
#define TINYML_BEND    \
  "asrs r1, r3, #31\n" \
  "mov r2, %[left]\n"  \
  "lsls r1, r1, r2\n"  \
  "asrs r1, r1, #1\n"  \
  "adds r3, r3, r1\n"

#define TINYML_SHIFTED(bend)                                                            \
  __asm__ volatile(                                                                     \
      ".syntax unified\n"                                                               \
      "1:\n"                                                                            \
      "ldmia %[at]!, {r1, r2, r3}\n"                                                    \
      "mov %[bias], r1\n"                                                               \
      "uxth %[low], r2\n"                                                               \
      "lsrs %[high], r2, #16\n"                                                         \
      "mov %[shift], r3\n"                                                              \
      "add %[next], %[step]\n"                                                          \
      "2:\n"                                                                            \
      "ldr r3, [%[sum]]\n"                                                              \
      "mov r1, %[left]\n"                                                               \
      "lsls r3, r3, r1\n"                                                               \
      "add r3, %[bias]\n" TINYML_UPPER_HALF("r3", "r1", "r2", "%[high]", "%[low]") bend \
      "asrs r3, r3, %[shift]\n"                                                         \
      "stmia %[sum]!, {r3}\n"                                                           \
      "cmp %[sum], %[next]\n"                                                           \
      "bne 2b\n"                                                                        \
      "cmp %[sum], %[end]\n"                                                            \
      "bne 1b\n"                                                                        \
      : [sum] "+l"(sum), [at] "+l"(at), [low] "=&l"(low), [high] "=&l"(high),           \
        [shift] "=&l"(shift), [bias] "=&h"(bias), [next] "+h"(next)                     \
      : [left] "h"(f->left), [step] "h"(4 * pixels), [end] "h"(end)                     \
      : "r1", "r2", "r3", "cc", "memory")

/* Sums become h >> shift; of each channel there are `pixels`. count > 0 */
TINYML_INLINE void tinyml_shifted(const tinyml_filters *f, int form, int32_t *sum, int32_t pixels,
                                  int32_t channel, int32_t count) {
  const int32_t *at = f->channels + TINYML_CHANNEL_WORDS * channel;
  int32_t *const end = sum + pixels * count, *next = sum;
  int32_t bias, low, high, shift;
  if (form == TINYML_RESCALE_BENT) {
    TINYML_SHIFTED(TINYML_BEND);
  } else {
    TINYML_SHIFTED("");
  }
}

/* `form` is constant. The sums are written over: first all are rescaled, then they become bytes, as
 * the few registers do not hold what both take. */
TINYML_INLINE void tinyml_outputs_of(const tinyml_filters *f, int form, int32_t *sums,
                                     int32_t pixels, int32_t step, int32_t channel, int32_t count,
                                     int8_t *out) {
  int32_t *const end = sums + pixels * count;
  const int32_t low = f->act_min, high = f->act_max, twice = 2 * f->output_zero_point + 1;
  if (form == TINYML_RESCALE_EXACT) {
    const int32_t *at = f->channels + TINYML_CHANNEL_WORDS * channel;
    for (int32_t *sum = sums; sum < end; at += TINYML_CHANNEL_WORDS) {
      for (int32_t i = 0; i < pixels; ++i, ++sum) {
        *sum = tinyml_rescaled(f, form, *sum, at[0], at[1], at[2]);
      }
    }
  } else {
    tinyml_shifted(f, form, sums, pixels, channel, count);
  }
  for (int32_t i = 0; i < pixels; ++i, out += step - count) {
    for (const int32_t *sum = sums + i; sum < end; sum += pixels) {
      const int32_t x = form == TINYML_RESCALE_BENT ? (*sum + twice) >> 1 : *sum;
      *out++ = tinyml_limited(x, low, high);
    }
  }
}
#else
/* `form` is constant, and `pixels`, if it is 2 or 4. */
TINYML_INLINE void tinyml_outputs_of(const tinyml_filters *f, int form, const int32_t *sums,
                                     int32_t pixels, int32_t step, int32_t channel, int32_t count,
                                     int8_t *out) {
  const tinyml_filters g = *f; /* a copy that the stores through `out` cannot touch */
  const TINYML_FLASH int32_t *at = g.channels + TINYML_CHANNEL_WORDS * channel;
  int8_t *const end = out + count;
  for (; out < end; ++out, at += TINYML_CHANNEL_WORDS) {
    const int32_t bias = at[0], multiplier = at[1], shift = at[2];
    int8_t *to = out;
#define TINYML_OUTPUT \
  *to = tinyml_within(&g, form, tinyml_rescaled(&g, form, *sums++, bias, multiplier, shift));
    TINYML_OUTPUT
    if (pixels == 2 || pixels == 4) {
      to += step;
      TINYML_OUTPUT
      if (pixels == 2) continue;
      to += step;
      TINYML_OUTPUT
      to += step;
      TINYML_OUTPUT
      continue;
    }
    for (int32_t i = 1; i < pixels; ++i) {
      to += step;
      TINYML_OUTPUT
    }
#undef TINYML_OUTPUT
  }
}
#endif

TINYML_INLINE void tinyml_outputs_in_form(const tinyml_filters *f, int form, int32_t *sums,
                                          int32_t pixels, int32_t step, int32_t channel,
                                          int32_t count, int8_t *out) {
#if defined(TINYML_THUMB1)
  tinyml_outputs_of(f, form, sums, pixels, step, channel, count, out);
#else
  if (pixels == 4) {
    tinyml_outputs_of(f, form, sums, 4, step, channel, count, out);
  } else if (pixels == 2) {
    tinyml_outputs_of(f, form, sums, 2, step, channel, count, out);
  } else {
    tinyml_outputs_of(f, form, sums, pixels, step, channel, count, out);
  }
#endif
}

/* The outputs of `count` channels from `channel` on, `pixels` of each, `step` apart, from their
 * sums, channel by channel, which are written over. */
__attribute__((noinline, weak)) void tinyml_outputs(const tinyml_filters *f, int32_t *sums,
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
