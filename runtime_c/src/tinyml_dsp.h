/* Filters applied to vectors with the DSP extension of Armv7E-M and Armv8-M: two vectors by two
 * filters at a time, four elements of each to a step, two products to an instruction (SMLAD).
 *
 * Vectors are widened first, as every filter reads them: the words of four elements b0..b3 are
 * (b0, b2) and (b1, b3), which is what SXTB16 makes of four bytes, and the words of two vectors
 * alternate, two and two, so that one LDM loads a step of both. Filters stay bytes, in pairs whose
 * words alternate. Both are filled up to whole steps.
 *
 * Inline assembly, because GCC 12 rotates apart from SXTB16 and makes no LDM of four loads. */
#ifndef TINYML_DSP_H
#define TINYML_DSP_H

#include <string.h>

#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

#if !defined(__ARM_FEATURE_DSP)
#error "these kernels need a core with the DSP extension (isa \"dsp\" of the board)"
#endif

/* Words of widened vectors from one step to the next. */
#define TINYML_DSP_STEP_WORDS 4

static inline int32_t tinyml_dsp_steps(int32_t n) { return (n + 3) / 4; }

static inline void tinyml_dsp_widen4(uint32_t bytes, uint32_t *to) {
  uint32_t even, odd;
  __asm__("sxtb16 %0, %1" : "=r"(even) : "r"(bytes));
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(bytes));
  to[0] = even;
  to[1] = odd;
}

/* Writes n elements where they belong beside another vector: `to` is their first word. Zeros fill
 * the last step. Returns where the next step goes. */
static inline uint32_t *tinyml_dsp_widen(const int8_t *x, int32_t n, uint32_t *to) {
  uint32_t first, second;
  const int8_t *end = x + n;
  for (; n >= 8; n -= 8, x += 8, to += 2 * TINYML_DSP_STEP_WORDS) {
    memcpy(&first, x, 4);
    memcpy(&second, x + 4, 4);
    tinyml_dsp_widen4(first, to);
    tinyml_dsp_widen4(second, to + TINYML_DSP_STEP_WORDS);
  }
  if (n >= 4) {
    memcpy(&first, x, 4);
    tinyml_dsp_widen4(first, to);
    to += TINYML_DSP_STEP_WORDS;
    x += 4;
    n -= 4;
  }
  if (n > 0) {
    first = 0;
    while (n-- > 0) first = first << 8 | (uint8_t) * --end;
    tinyml_dsp_widen4(first, to);
    to += TINYML_DSP_STEP_WORDS;
  }
  return to;
}

/* One step: the elements of both vectors in r2..r5, the filters' bytes in u and v. */
#define TINYML_DSP_DOT2                 \
  "ldrd   %[u], %[v], [%[w]], #8    \n" \
  "ldmia  %[x]!, {r2, r3, r4, r5}   \n" \
  "sxtb16 %[t], %[u]                \n" \
  "sxtb16 %[u], %[u], ror #8        \n" \
  "smlad  %[a], r2, %[t], %[a]      \n" \
  "smlad  %[c], r4, %[t], %[c]      \n" \
  "sxtb16 %[t], %[v]                \n" \
  "smlad  %[a], r3, %[u], %[a]      \n" \
  "smlad  %[c], r5, %[u], %[c]      \n" \
  "sxtb16 %[v], %[v], ror #8        \n" \
  "smlad  %[b], r2, %[t], %[b]      \n" \
  "smlad  %[d], r4, %[t], %[d]      \n" \
  "smlad  %[b], r3, %[v], %[b]      \n" \
  "smlad  %[d], r5, %[v], %[d]      \n"

/* One step of one vector. */
#define TINYML_DSP_DOT1                 \
  "ldrd   %[u], %[v], [%[w]], #8    \n" \
  "ldrd   r2, r3, [%[x]], #16       \n" \
  "sxtb16 %[t], %[u]                \n" \
  "sxtb16 %[u], %[u], ror #8        \n" \
  "smlad  %[a], r2, %[t], %[a]      \n" \
  "sxtb16 %[t], %[v]                \n" \
  "smlad  %[a], r3, %[u], %[a]      \n" \
  "sxtb16 %[v], %[v], ror #8        \n" \
  "smlad  %[b], r2, %[t], %[b]      \n" \
  "smlad  %[b], r3, %[v], %[b]      \n"

/* The scales of a pair of channels; v is twice the output's zero point and a half. The multipliers
 * go to r2 and r3, the right shifts to t and r4, what is added before them to r5 and u. */
#define TINYML_DSP_SCALES                \
  "ldmia  %[w]!, {r2, r3, r4}        \n" \
  "uxtb   %[t], r4                   \n" \
  "lsrs   r4, r4, #8                 \n" \
  "lsl    r5, %[v], %[t]             \n" \
  "lsl    %[u], %[v], r4             \n" \
  "asrs   r5, r5, #1                 \n" \
  "asrs   %[u], %[u], #1             \n"

/* A sum becomes round(round(sum * multiplier / 2^31) / 2^right) + zero point, the first with ties
 * towards +infinity, the second with ties away from zero, saturated to a byte.
 *
 * SMMULR is (a * b + 2^31) >> 32: with a = 2 * sum the first rounding. The second is (y + 2^(right
 * - 1) - (y < 0)) >> right; `offset` is this half and the zero point, times 2^right. */
/* clang-format off */
#define TINYML_DSP_RESCALE(sum, multiplier, offset, right) \
  "lsl    " sum ", " sum ", #1                \n"         \
  "smmulr " sum ", " sum ", " multiplier "    \n"         \
  "add    %[v], " offset ", " sum ", asr #31  \n"         \
  "add    " sum ", " sum ", %[v]              \n"         \
  "asr    " sum ", " sum ", " right "         \n"         \
  "ssat   " sum ", #8, " sum "                \n"
/* clang-format on */

#define TINYML_DSP_ASM2(code)                                                                      \
  __asm__ volatile(code                                                                            \
                   : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [x] "+r"(x), [w] "+r"(w), \
                     [t] "=&r"(t), [u] "=&r"(u), [v] "=&r"(v)                                      \
                   :                                                                               \
                   : "r2", "r3", "r4", "r5", "memory")

#define TINYML_DSP_ASM1(code)                                                          \
  __asm__ volatile(code                                                                \
                   : [a] "+r"(a), [b] "+r"(b), [x] "+r"(x), [w] "+r"(w), [t] "=&r"(t), \
                     [u] "=&r"(u), [v] "=&r"(v)                                        \
                   :                                                                   \
                   : "r2", "r3", "memory")

#define TINYML_DSP_RESCALE2                                                           \
  __asm__ volatile(TINYML_DSP_SCALES TINYML_DSP_RESCALE("%[a]", "r2", "r5", "%[t]")   \
                       TINYML_DSP_RESCALE("%[b]", "r3", "%[u]", "r4")                 \
                           TINYML_DSP_RESCALE("%[c]", "r2", "r5", "%[t]")             \
                               TINYML_DSP_RESCALE("%[d]", "r3", "%[u]", "r4")         \
                   : [a] "+r"(a), [b] "+r"(b), [c] "+r"(c), [d] "+r"(d), [w] "+r"(w), \
                     [t] "=&r"(t), [u] "=&r"(u), [v] "+r"(v)                          \
                   :                                                                  \
                   : "r2", "r3", "r4", "r5", "cc", "memory")

#define TINYML_DSP_RESCALE1                                                            \
  __asm__ volatile(                                                                    \
      TINYML_DSP_SCALES TINYML_DSP_RESCALE("%[a]", "r2", "r5", "%[t]")                 \
          TINYML_DSP_RESCALE("%[b]", "r3", "%[u]", "r4")                               \
      : [a] "+r"(a), [b] "+r"(b), [w] "+r"(w), [t] "=&r"(t), [u] "=&r"(u), [v] "+r"(v) \
      :                                                                                \
      : "r2", "r3", "r4", "r5", "cc", "memory")

/* The outputs of a pair of channels from its sums over a vector, with every rounding and wrap of
 * the portable kernels; `scales` is what follows their weights. */
__attribute__((noinline)) static void tinyml_dsp_exact(const tinyml_dsp_filters *f, int32_t a,
                                                       int32_t b, const int32_t *scales,
                                                       int8_t *out, int32_t partner) {
  const int32_t shift0 = (scales[2] & 255) - TINYML_DSP_EXACT;
  const int32_t shift1 = (scales[2] >> 8 & 255) - TINYML_DSP_EXACT;
  out[0] = tinyml_to_s8(tinyml_requantize(a, scales[0], shift0), f->output_zero_point, f->act_min,
                        f->act_max);
  out[partner] = tinyml_to_s8(tinyml_requantize(b, scales[1], shift1), f->output_zero_point,
                              f->act_min, f->act_max);
}

/* All filters applied to two widened vectors of so many steps. */
static inline void tinyml_dsp_filter2(const tinyml_dsp_filters *f, const uint32_t *vectors,
                                      int32_t steps, int8_t *out0, int8_t *out1) {
  const int32_t half = 2 * f->output_zero_point + 1; /* twice the zero point and a half */
  const int32_t narrow = f->act_max - f->act_min < 255;
  const int32_t fours = steps >> 2, ones = steps & 3;
  const int32_t *w = f->pairs;
  int32_t left = f->out_channels;
  int32_t partner = left > 1; /* an odd last channel has itself for a partner */
  while (left > 0) {
    const uint32_t *x = vectors;
    /* x0.w0, x0.w1, x1.w0, x1.w1; sums wrap */
    int32_t a = w[0], b = w[1], c = a, d = b, t, u, v;
    w += 2;
    for (int32_t i = fours; i > 0; --i) {
      TINYML_DSP_ASM2(TINYML_DSP_DOT2 TINYML_DSP_DOT2 TINYML_DSP_DOT2 TINYML_DSP_DOT2);
    }
    for (int32_t i = ones; i > 0; --i) TINYML_DSP_ASM2(TINYML_DSP_DOT2);
    if (w[2] < 0) {
      tinyml_dsp_exact(f, a, b, w, out0, partner);
      tinyml_dsp_exact(f, c, d, w, out1, partner);
      w += 3;
    } else {
      v = half;
      TINYML_DSP_RESCALE2;
      if (narrow) {
        a = tinyml_clamp(a, f->act_min, f->act_max);
        b = tinyml_clamp(b, f->act_min, f->act_max);
        c = tinyml_clamp(c, f->act_min, f->act_max);
        d = tinyml_clamp(d, f->act_min, f->act_max);
      }
      out0[0] = (int8_t)a;
      out0[partner] = (int8_t)b;
      out1[0] = (int8_t)c;
      out1[partner] = (int8_t)d;
    }
    out0 += 2;
    out1 += 2;
    left -= 2;
    if (left == 1) partner = 0;
  }
}

/* All filters applied to one widened vector; `extra` joins each sum. */
static inline void tinyml_dsp_filter1(const tinyml_dsp_filters *f, const uint32_t *vector,
                                      int32_t steps, int32_t extra, int8_t *out) {
  const int32_t half = 2 * f->output_zero_point + 1;
  const int32_t *w = f->pairs;
  int32_t left = f->out_channels;
  int32_t partner = left > 1;
  while (left > 0) {
    const uint32_t *x = vector;
    int32_t a = tinyml_add(w[0], extra), b = tinyml_add(w[1], extra), t, u, v;
    w += 2;
    for (int32_t i = steps >> 1; i > 0; --i) TINYML_DSP_ASM1(TINYML_DSP_DOT1 TINYML_DSP_DOT1);
    if (steps & 1) TINYML_DSP_ASM1(TINYML_DSP_DOT1);
    if (w[2] < 0) {
      tinyml_dsp_exact(f, a, b, w, out, partner);
      w += 3;
    } else {
      v = half;
      TINYML_DSP_RESCALE1;
      out[0] = (int8_t)tinyml_clamp(a, f->act_min, f->act_max);
      out[partner] = (int8_t)tinyml_clamp(b, f->act_min, f->act_max);
    }
    out += 2;
    left -= 2;
    if (left == 1) partner = 0;
  }
}

#endif
