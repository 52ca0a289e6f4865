/* Filters applied to vectors with the DSP extension of Armv7E-M and Armv8-M: two vectors by two
 * filters at a time, four elements of each to a step, two products to an instruction (SMLAD).
 *
 * Vectors are widened first, as every filter reads them: the words of four elements b0..b3 are
 * (b0, b2) and (b1, b3), which is what SXTB16 makes of four bytes, and the words of two vectors
 * alternate, two and two, so that one LDM loads a step of both. Filters stay bytes, in pairs whose
 * words alternate. Both are filled up to whole steps.
 *
 * The loops over filters are naked functions: they need fourteen registers at once, which no
 * compiler gives to inline assembly under all of its options, and rotations in SXTB16 and loads of
 * many words, which GCC 12 does not make. They are weak, so that one copy stays in a program. */
#ifndef TINYML_DSP_H
#define TINYML_DSP_H

#include <string.h>

#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

#if !defined(__ARM_FEATURE_DSP)
#error "these kernels need a core with the DSP extension (isa \"dsp\" of the board)"
#endif

#define TINYML_DSP_ASSEMBLY __attribute__((naked, noinline, weak))
#define TINYML_DSP_ARGUMENT __attribute__((unused)) /* but in a register */

/* Words of widened vectors from one step to the next. */
#define TINYML_DSP_STEP_WORDS 4

static inline int32_t tinyml_dsp_steps(int32_t n) { return (n + 3) / 4; }

/* ---- Vectors -------------------------------------------------------------------------------- */

static inline uint32_t tinyml_dsp_load4(const int8_t *x) {
  uint32_t word;
  memcpy(&word, x, 4);
  return word;
}

/* The last 1 to 3 elements, then zeros. */
static inline uint32_t tinyml_dsp_load_rest(const int8_t *x, int32_t n) {
  uint32_t word = 0;
  while (n-- > 0) word = word << 8 | (uint8_t)x[n];
  return word;
}

static inline uint32_t *tinyml_dsp_widen4(uint32_t bytes, uint32_t *to) {
  uint32_t even, odd;
  __asm__("sxtb16 %0, %1" : "=r"(even) : "r"(bytes));
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(bytes));
  to[0] = even;
  to[1] = odd;
  return to + TINYML_DSP_STEP_WORDS;
}

/* Writes n elements where they belong beside another vector: `to` is their first word. Zeros fill
 * the last step. Returns where the next step goes. */
static inline uint32_t *tinyml_dsp_widen(const int8_t *x, int32_t n, uint32_t *to) {
  for (; n >= 4; n -= 4, x += 4) to = tinyml_dsp_widen4(tinyml_dsp_load4(x), to);
  return n > 0 ? tinyml_dsp_widen4(tinyml_dsp_load_rest(x, n), to) : to;
}

/* clang-format off */
#define TINYML_DSP_WIDEN2            \
  "ldr    r4, [r0], #4           \n" \
  "ldr    r6, [r1], #4           \n" \
  "sxtb16 r5, r4, ror #8         \n" \
  "sxtb16 r4, r4                 \n" \
  "sxtb16 r12, r6, ror #8        \n" \
  "sxtb16 r6, r6                 \n" \
  "stmia  r3!, {r4, r5, r6, r12} \n"
/* clang-format on */

/* Widens so many whole steps of each of two vectors. Returns where the next step goes. */
TINYML_DSP_ASSEMBLY uint32_t *tinyml_dsp_widen2_steps(const int8_t *x0 TINYML_DSP_ARGUMENT,
                                                      const int8_t *x1 TINYML_DSP_ARGUMENT,
                                                      int32_t steps TINYML_DSP_ARGUMENT,
                                                      uint32_t *to TINYML_DSP_ARGUMENT) {
  __asm__(
      "push   {r4, r5, r6}   \n"
      "lsrs   r2, r2, #1     \n"
      "bcc    1f             \n" TINYML_DSP_WIDEN2
      "1:                    \n"
      "cbz    r2, 3f         \n"
      "2:                    \n" TINYML_DSP_WIDEN2 TINYML_DSP_WIDEN2
      "subs   r2, r2, #1     \n"
      "bne    2b             \n"
      "3:                    \n"
      "mov    r0, r3         \n"
      "pop    {r4, r5, r6}   \n"
      "bx     lr             \n");
}

/* Widens n elements of each of two vectors. */
static inline void tinyml_dsp_widen2(const int8_t *x0, const int8_t *x1, int32_t n, uint32_t *to) {
  const int32_t rest = n & 3, whole = n - rest;
  to = tinyml_dsp_widen2_steps(x0, x1, n >> 2, to);
  if (rest > 0) {
    tinyml_dsp_widen4(tinyml_dsp_load_rest(x0 + whole, rest), to);
    tinyml_dsp_widen4(tinyml_dsp_load_rest(x1 + whole, rest), to + 2);
  }
}

/* ---- Rescaling ------------------------------------------------------------------------------ */

/* A sum becomes round(round(sum * m / 2^31) / 2^r) + zero point, the first with ties towards
 * +infinity, the second with ties away from zero, saturated to a byte; 2^30 <= m < 2^31, r >= 1.
 *
 * `multiplier` is 2 * m - 2^32, so that SMMLAR, (a * multiplier + a * 2^32 + 2^31) >> 32, gives the
 * first rounding y whatever the sum. The second, (y - (y < 0) + 2^(r - 1)) >> r, and the zero point
 * are ((y - (y < 0)) >> (r - 1)) + twice >> 1, where `twice` is twice the zero point and one;
 * `right` has r - 1 in its low byte. */
/* clang-format off */
#define TINYML_DSP_RESCALE(sum, multiplier, right, twice) \
  "smmlar " sum ", " sum ", " multiplier ", " sum "\n"    \
  "add    " sum ", " sum ", " sum ", asr #31\n"           \
  "asr    " sum ", " sum ", " right "\n"                  \
  "qadd   " sum ", " sum ", " twice "\n"                  \
  "ssat   " sum ", #8, " sum ", asr #1\n"
/* clang-format on */

/* The same with every multiplier and shift that the portable kernels take, where a layer has others
 * (`exact`): `right` is shift + TINYML_DSP_EXACT. */
static inline int8_t tinyml_dsp_exact(const tinyml_dsp_outputs *to, uint32_t sum,
                                      int32_t multiplier, int32_t right) {
  const int32_t scaled = tinyml_requantize((int32_t)sum, (int32_t)((uint32_t)multiplier >> 1),
                                           (right & 255) - TINYML_DSP_EXACT);
  return tinyml_to_s8(scaled, to->zero_point, to->act_min, to->act_max);
}

/* The limits of an activation that the rescale, which saturates to a byte, leaves undone. */
static inline void tinyml_dsp_clamp(int8_t *out, int32_t n, int32_t low, int32_t high) {
  if (high - low == 255) return;
  for (int32_t i = 0; i < n; ++i) out[i] = (int8_t)tinyml_clamp(out[i], low, high);
}

/* ---- Pairs of filters ----------------------------------------------------------------------- */

/* r0: pairs, r1: vectors, r6: turns of the unrolled loop, r7: where it is entered */

/* clang-format off */
/* The words of a pair of filters. */
#define TINYML_DSP_LOAD_PAIR "ldrd   r12, lr, [r0], #8\n"

/* They multiply the elements of two vectors, the even and the odd ones of each. */
#define TINYML_DSP_MULTIPLY2(even0, odd0, even1, odd1) \
  "sxtb16 r7, r12\n"                                   \
  "sxtb16 r12, r12, ror #8\n"                          \
  "smlad  r8, " even0 ", r7, r8\n"                     \
  "smlad  r10, " even1 ", r7, r10\n"                   \
  "sxtb16 r7, lr\n"                                    \
  "smlad  r8, " odd0 ", r12, r8\n"                     \
  "smlad  r10, " odd1 ", r12, r10\n"                   \
  "sxtb16 lr, lr, ror #8\n"                            \
  "smlad  r9, " even0 ", r7, r9\n"                     \
  "smlad  r11, " even1 ", r7, r11\n"                   \
  "smlad  r9, " odd0 ", lr, r9\n"                      \
  "smlad  r11, " odd1 ", lr, r11\n"

/* The scales of a pair; its sums over one and over two vectors. */
#define TINYML_DSP_RESCALE1     \
  "ldmia  r0!, {r2, r3, r4}\n"  \
  "asr    r5, r4, #8\n"         \
  "asr    r6, r4, #16\n"        \
  TINYML_DSP_RESCALE("r8", "r2", "r4", "r6") \
  TINYML_DSP_RESCALE("r9", "r3", "r5", "r6")
#define TINYML_DSP_RESCALE2     \
  TINYML_DSP_RESCALE1           \
  TINYML_DSP_RESCALE("r10", "r2", "r4", "r6") \
  TINYML_DSP_RESCALE("r11", "r3", "r5", "r6")

/* The second vector's outputs at r7, the first's at r1, which end at r12: an odd last channel has
 * no partner. */
#define TINYML_DSP_STORE2   \
  "strb   r10, [r7], #1\n"  \
  "strb   r8, [r1], #1\n"   \
  "cmp    r1, r12\n"        \
  "beq    7f\n"             \
  "strb   r11, [r7], #1\n"  \
  "strb   r9, [r1], #1\n"

/* One step of two vectors. */
#define TINYML_DSP_DOT2            \
  TINYML_DSP_LOAD_PAIR             \
  "ldmia  r1!, {r2, r3, r4, r5}\n" \
  TINYML_DSP_MULTIPLY2("r2", "r3", "r4", "r5")
/* clang-format on */

/* One step of one vector. */
#define TINYML_DSP_DOT1               \
  "ldrd   r12, lr, [r0], #8       \n" \
  "ldrd   r2, r3, [r1], #16       \n" \
  "sxtb16 r7, r12                 \n" \
  "sxtb16 r12, r12, ror #8        \n" \
  "smlad  r8, r2, r7, r8          \n" \
  "sxtb16 r7, lr                  \n" \
  "smlad  r8, r3, r12, r8         \n" \
  "sxtb16 lr, lr, ror #8          \n" \
  "smlad  r9, r2, r7, r9          \n" \
  "smlad  r9, r3, lr, r9          \n"

/* The turns, four steps each, and where to enter the first of them for r2 steps in all. */
#define TINYML_DSP_TURNS_OF_R2 \
  "and    r7, r2, #3       \n" \
  "add    r6, r2, #3       \n" \
  "lsr    r6, r6, #2       \n"

/* clang-format off */
#define TINYML_DSP_TURNS(step, turns, entry) \
  "tbb    [pc, " entry "]\n"                 \
  "2:\n"                                     \
  ".byte (3f - 2b) / 2, (6f - 2b) / 2\n"     \
  ".byte (5f - 2b) / 2, (4f - 2b) / 2\n"     \
  "3:" step "4:" step "5:" step "6:" step    \
  "subs   " turns ", " turns ", #1\n"        \
  "bne    3b\n"
/* clang-format on */

/* All pairs applied to two vectors, the second's outputs following the first's. */
TINYML_DSP_ASSEMBLY void tinyml_dsp_pairs2(const int32_t *pairs TINYML_DSP_ARGUMENT,
                                           const uint32_t *vectors TINYML_DSP_ARGUMENT,
                                           int32_t steps TINYML_DSP_ARGUMENT,
                                           int8_t *out TINYML_DSP_ARGUMENT,
                                           int32_t channels TINYML_DSP_ARGUMENT) {
  __asm__(
      "push   {r4-r11, lr}            \n"
      "ldr    r12, [sp, #36]          \n"
      "add    r12, r3, r12            \n"
      "mov    lr, r12                 \n"
      "push   {r3, r12, lr}           \n" /* both outputs, the end of the first */
      TINYML_DSP_TURNS_OF_R2
      "push   {r1, r6, r7}            \n"
      "1:                             \n"
      "ldrd   r8, r9, [r0], #8        \n" /* x0.w0, x0.w1, x1.w0, x1.w1; sums wrap */
      "ldmia  sp, {r1, r6, r7}        \n"
      "mov    r10, r8                 \n"
      "mov    r11, r9                 \n" TINYML_DSP_TURNS(TINYML_DSP_DOT2, "r6", "r7")
          TINYML_DSP_RESCALE2
      "ldrd   r1, r7, [sp, #12]       \n"
      "ldr    r12, [sp, #20]          \n" TINYML_DSP_STORE2
      "strd   r1, r7, [sp, #12]       \n"
      "cmp    r1, r12                 \n"
      "bne    1b                      \n"
      "7:                             \n"
      "add    sp, sp, #24             \n"
      "pop    {r4-r11, pc}            \n");
}

/* All pairs applied to one vector. */
TINYML_DSP_ASSEMBLY void tinyml_dsp_pairs1(const int32_t *pairs TINYML_DSP_ARGUMENT,
                                           const uint32_t *vector TINYML_DSP_ARGUMENT,
                                           int32_t steps TINYML_DSP_ARGUMENT,
                                           int8_t *out TINYML_DSP_ARGUMENT,
                                           int32_t channels TINYML_DSP_ARGUMENT) {
  __asm__(
      "push   {r4-r11, lr}            \n"
      "ldr    r12, [sp, #36]          \n"
      "mov    r10, r3                 \n" /* the output, its end */
      "add    r11, r3, r12            \n" TINYML_DSP_TURNS_OF_R2
      "push   {r1, r6, r7}            \n"
      "1:                             \n"
      "ldrd   r8, r9, [r0], #8        \n"
      "ldmia  sp, {r1, r6, r7}        \n" TINYML_DSP_TURNS(TINYML_DSP_DOT1, "r6", "r7")
          TINYML_DSP_RESCALE1
      "strb   r8, [r10], #1           \n"
      "cmp    r10, r11                \n"
      "beq    7f                      \n"
      "strb   r9, [r10], #1           \n"
      "cmp    r10, r11                \n"
      "bne    1b                      \n"
      "7:                             \n"
      "add    sp, sp, #12             \n"
      "pop    {r4-r11, pc}            \n");
}

/* All filters applied to one widened vector, of a layer that needs the exact rescale. */
__attribute__((noinline, weak)) void tinyml_dsp_exact_pairs(const tinyml_dsp_filters *f,
                                                            const uint32_t *vector, int32_t steps,
                                                            int8_t *out) {
  for (int32_t channel = 0; channel < f->out.channels; ++channel) {
    const int32_t second = channel & 1;
    const int32_t *w = f->pairs + (channel >> 1) * (2 * steps + 5) + second;
    const int32_t *scale = w + 2 * steps + 2;
    uint32_t sum = (uint32_t)w[0];
    for (int32_t i = 0; i < steps; ++i) {
      const uint32_t even = vector[TINYML_DSP_STEP_WORDS * i];
      const uint32_t odd = vector[TINYML_DSP_STEP_WORDS * i + 1];
      const int32_t bytes = w[2 * i + 2];
      sum += (uint32_t)((int16_t)even * (int8_t)bytes);
      sum += (uint32_t)((int16_t)odd * (int8_t)(bytes >> 8));
      sum += (uint32_t)((int16_t)(even >> 16) * (int8_t)(bytes >> 16));
      sum += (uint32_t)((int16_t)(odd >> 16) * (int8_t)(bytes >> 24));
    }
    *out++ = tinyml_dsp_exact(&f->out, sum, scale[0], scale[2 - second] >> 8 * second);
  }
}

/* All filters applied to two widened vectors of so many steps. */
static inline void tinyml_dsp_filter2(const tinyml_dsp_filters *f, const uint32_t *vectors,
                                      int32_t steps, int8_t *out) {
  const int32_t channels = f->out.channels;
  if (f->out.exact) {
    tinyml_dsp_exact_pairs(f, vectors, steps, out);
    tinyml_dsp_exact_pairs(f, vectors + 2, steps, out + channels);
    return;
  }
  tinyml_dsp_pairs2(f->pairs, vectors, steps, out, channels);
  tinyml_dsp_clamp(out, 2 * channels, f->out.act_min, f->out.act_max);
}

/* All filters applied to one widened vector. */
static inline void tinyml_dsp_filter1(const tinyml_dsp_filters *f, const uint32_t *vector,
                                      int32_t steps, int8_t *out) {
  if (f->out.exact) {
    tinyml_dsp_exact_pairs(f, vector, steps, out);
    return;
  }
  tinyml_dsp_pairs1(f->pairs, vector, steps, out, f->out.channels);
  tinyml_dsp_clamp(out, f->out.channels, f->out.act_min, f->out.act_max);
}

#endif
