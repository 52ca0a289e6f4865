/* Depthwise convolution with the DSP extension of Armv7E-M and Armv8-M: a square kernel of
 * TINYML_DEPTHWISE_SIZE (3, 5 or 7) taps a side, stride 1 or 2 along the row, one output channel
 * for each input channel, four channels or more. Each kernel's file defines the size and includes
 * this.
 *
 * Four channels (a quad) at a time: first the columns of pixels that some windows span are widened
 * to 16 bits, then each window is one run of words, multiplied by another run, the quad's filters.
 * A column is, for each two rows a and b, one word (a, b) for each of the channels 0..3, so that
 * SMLAD adds two taps; the odd last row has one word for channels 0 and 2 and one for 1 and 3.
 * Columns and rows in the padding are zero points, whose share the biases take away. Where the
 * number of channels is no multiple of four the last quad computes some a second time.
 *
 * Inline assembly, because GCC 12 rotates apart from SXTB16 and makes no LDM of four loads. */
#ifndef TINYML_DSP_DEPTHWISE_H
#define TINYML_DSP_DEPTHWISE_H

#include <string.h>

#include "tinyml_dsp.h"
#include "tinyml_kernels.h"
#include "tinyml_window.h"

#define TINYML_DSP_TEXT(x) #x
#define TINYML_DSP_NUMBER(x) TINYML_DSP_TEXT(x)
#define TINYML_DSP_SIZE TINYML_DSP_NUMBER(TINYML_DEPTHWISE_SIZE)

enum {
  SIZE = TINYML_DEPTHWISE_SIZE,
  TAPS = SIZE * SIZE,
  QUAD = 4,
  COLUMN_WORDS = 2 * SIZE,
  PACKED_WORDS = QUAD + TAPS + QUAD + 1, /* of a quad */
/* Columns widened at a time: a bound of the stack. */
#if TINYML_DEPTHWISE_SIZE == 3
  COLUMNS = 14
#else
  COLUMNS = SIZE + 4
#endif
};

#if TINYML_DEPTHWISE_SIZE < 7
/* The filters of a quad are widened, too, in the order in which they are gone through: biases,
 * weights, multipliers, the word of shifts and what it is shifted right by 8, 16 and 24. */
enum { FILTER_WORDS = QUAD + 2 * TAPS + 2 * QUAD };

#define TINYML_DSP_UNPACK3                   \
  "ldmia  %[from]!, {r3, r5, r8}         \n" \
  "sxtb16 r2, r3                         \n" \
  "sxtb16 r3, r3, ror #8                 \n" \
  "sxtb16 r4, r5                         \n" \
  "sxtb16 r5, r5, ror #8                 \n" \
  "sxtb16 r6, r8                         \n" \
  "sxtb16 r8, r8, ror #8                 \n" \
  "stmia  %[to]!, {r2, r3, r4, r5, r6, r8} \n"

#define TINYML_DSP_UNPACK(code)                       \
  __asm__ volatile(code                               \
                   : [from] "+r"(from), [to] "+r"(to) \
                   :                                  \
                   : "r2", "r3", "r4", "r5", "r6", "r8", "memory")

/* Copies the filters of a quad, the weights widened. Returns the next. */
static inline const int32_t *unpack(const int32_t *from, uint32_t *to) {
  TINYML_DSP_UNPACK("ldmia %[from]!, {r2, r3, r4, r5} \n stmia %[to]!, {r2, r3, r4, r5} \n");
#if TINYML_DEPTHWISE_SIZE == 3
  TINYML_DSP_UNPACK(TINYML_DSP_UNPACK3 TINYML_DSP_UNPACK3 TINYML_DSP_UNPACK3);
#else
  for (int32_t i = TAPS / 3; i > 0; --i) TINYML_DSP_UNPACK(TINYML_DSP_UNPACK3);
  tinyml_dsp_widen4((uint32_t)*from++, to);
  to += 2;
#endif
  TINYML_DSP_UNPACK(
      "ldmia  %[from]!, {r2, r3, r4, r5, r6} \n"
      "stmia  %[to]!, {r2, r3, r4, r5, r6}   \n"
      "lsr    r2, r6, #8                     \n"
      "lsr    r3, r6, #16                    \n"
      "lsr    r4, r6, #24                    \n"
      "stmia  %[to]!, {r2, r3, r4}           \n");
  return from;
}

/* Weights in r6-r9 for two rows, in r6 and r7 for the last one; the multipliers to r2-r5 and the
 * shifts to r6-r9. */
#define TINYML_DSP_TWO_ROWS_WEIGHTS "ldmia  r1!, {r6, r7, r8, r9}        \n"
#define TINYML_DSP_LAST_ROW_WEIGHTS "ldmia  r1!, {r6, r7}                \n"
#define TINYML_DSP_SCALE_WORDS "ldmia  r1, {r2-r9}                  \n"
#define TINYML_DSP_WEIGHT_BYTES "8"
#else
/* The filters stay as they are: widened they would take too much of the stack. */
#define TINYML_DSP_TWO_ROWS_WEIGHTS        \
  "ldmia  r1!, {r6, r8}                \n" \
  "sxtb16 r7, r6, ror #8               \n" \
  "sxtb16 r6, r6                       \n" \
  "sxtb16 r9, r8, ror #8               \n" \
  "sxtb16 r8, r8                       \n"
#define TINYML_DSP_LAST_ROW_WEIGHTS        \
  "ldr    r6, [r1], #4                 \n" \
  "sxtb16 r7, r6, ror #8               \n" \
  "sxtb16 r6, r6                       \n"
#define TINYML_DSP_SCALE_WORDS             \
  "ldmia  r1, {r2-r6}                  \n" \
  "lsr    r7, r6, #8                   \n" \
  "lsr    r8, r6, #16                  \n" \
  "lsr    r9, r6, #24                  \n"
#define TINYML_DSP_WEIGHT_BYTES "4"
#endif

/* Fills n columns with padding, `word` in all of them. */
static void fill(uint32_t *to, int32_t n, uint32_t word) {
  for (n *= COLUMN_WORDS; n > 0; --n) *to++ = word;
}

/* Widens n > 0 pixels of two rows, or of one, into their words of so many columns. */
static inline void widen_two(const int8_t *a, int32_t a_step, const int8_t *b, int32_t b_step,
                             int32_t n, uint32_t *to) {
  __asm__ volatile(
      "1:                            \n"
      "ldr    r3, [%[a]]             \n"
      "ldr    r5, [%[b]]             \n"
      "add    %[a], %[a], %[a_step]  \n"
      "add    %[b], %[b], %[b_step]  \n"
      "pkhbt  r2, r3, r5, lsl #16    \n"
      "pkhtb  r4, r5, r3, asr #16    \n"
      "sxtb16 r3, r2, ror #8         \n"
      "sxtb16 r2, r2                 \n"
      "sxtb16 r5, r4, ror #8         \n"
      "sxtb16 r4, r4                 \n"
      "stmia  %[to], {r2, r3, r4, r5}\n"
      "add    %[to], %[to], %[next]  \n"
      "subs   %[n], %[n], #1         \n"
      "bne    1b                     \n"
      : [a] "+r"(a), [b] "+r"(b), [to] "+r"(to), [n] "+r"(n)
      : [a_step] "r"(a_step), [b_step] "r"(b_step), [next] "i"(4 * COLUMN_WORDS)
      : "r2", "r3", "r4", "r5", "cc", "memory");
}

static inline void widen_one(const int8_t *a, int32_t step, int32_t n, uint32_t *to) {
  __asm__ volatile(
      "1:                            \n"
      "ldr    r2, [%[a]]             \n"
      "add    %[a], %[a], %[step]    \n"
      "sxtb16 r3, r2, ror #8         \n"
      "sxtb16 r2, r2                 \n"
      "strd   r2, r3, [%[to]], %[next] \n"
      "subs   %[n], %[n], #1         \n"
      "bne    1b                     \n"
      : [a] "+r"(a), [to] "+r"(to), [n] "+r"(n)
      : [step] "r"(step), [next] "i"(4 * COLUMN_WORDS)
      : "r2", "r3", "cc", "memory");
}

#define TINYML_UNUSED __attribute__((unused))

#if TINYML_DEPTHWISE_SIZE == 3
/* Three rows of pixels: where each ends for the first quad, how many bytes before that it begins (a
 * negative number), bytes from pixel to pixel, and where the words go. */
typedef struct {
  const int8_t *a, *b, *c;
  int32_t begin;
  int32_t step;
  uint32_t *to;
} three_rows;

/* Widens them for the quad at `channel`: whole columns. */
__attribute__((naked, noinline)) static void widen_three(TINYML_UNUSED const three_rows *rows,
                                                         TINYML_UNUSED int32_t channel) {
  __asm__ volatile(
      "push   {r4-r11, lr}                   \n"
      "ldmia  r0, {r7, r9, r10, r11, r12, lr}\n"
      "add    r7, r7, r1                     \n"
      "add    r9, r9, r1                     \n"
      "add    r10, r10, r1                   \n"
      "1:                                    \n"
      "ldr    r3, [r7, r11]                  \n"
      "ldr    r4, [r9, r11]                  \n"
      "ldr    r8, [r10, r11]                 \n"
      "pkhbt  r2, r3, r4, lsl #16            \n"
      "pkhtb  r4, r4, r3, asr #16            \n"
      "sxtb16 r3, r2, ror #8                 \n"
      "sxtb16 r2, r2                         \n"
      "sxtb16 r5, r4, ror #8                 \n"
      "sxtb16 r4, r4                         \n"
      "sxtb16 r6, r8                         \n"
      "sxtb16 r8, r8, ror #8                 \n"
      "adds   r11, r11, r12                  \n"
      "stmia  lr!, {r2, r3, r4, r5, r6, r8}  \n"
      "bne    1b                             \n"
      "pop    {r4-r11, pc}                   \n");
}
#endif

/* Widens n > 0 pixels of all rows, NULL ones being padding, from byte `offset` of each on. */
static inline void widen(const int8_t *const *rows, int32_t offset, int32_t step,
                         const int8_t *padding, int32_t n, uint32_t *to) {
  for (int32_t i = 0; i < SIZE - 1; i += 2, to += QUAD) {
    const int8_t *const a = rows[i], *const b = rows[i + 1];
    widen_two(a == NULL ? padding : a + offset, a == NULL ? 0 : step,
              b == NULL ? padding : b + offset, b == NULL ? 0 : step, n, to);
  }
  const int8_t *const a = rows[SIZE - 1];
  widen_one(a == NULL ? padding : a + offset, a == NULL ? 0 : step, n, to);
}

/* Outputs of a quad's four sums, with every rounding and wrap of the portable kernels. */
typedef void finish(const int32_t *sums, const int32_t *scales, int8_t *out, int32_t half);

static void exact(const int32_t *sums, const int32_t *scales, int8_t *out, int32_t half) {
  for (int32_t i = 0; i < QUAD; ++i) {
    const int32_t shift = (scales[QUAD] >> (8 * i) & 63) - TINYML_DSP_EXACT;
    const int32_t x = tinyml_requantize(sums[i], scales[i], shift);
    out[i] = tinyml_to_s8(x, half >> 1, INT8_MIN, INT8_MAX);
  }
}

/* Clamps n pixels of four channels. */
__attribute__((noinline)) static void clamp(const tinyml_depthwise_conv_square_s8_dsp_op *op,
                                            int32_t n, int8_t *out) {
  for (; n > 0; --n, out += op->channels) {
    for (int32_t i = 0; i < QUAD; ++i) {
      out[i] = (int8_t)tinyml_clamp(out[i], op->act_min, op->act_max);
    }
  }
}

/* Output pixels of a quad: bytes from one to the next, the first, 2 * output zero point + 1, bytes
 * from the end of a window's columns back to where the next one's begin, where those of the one
 * after the last would begin, and `exact`. */
typedef struct {
  int32_t step;
  int8_t *out;
  int32_t half;
  int32_t back;
  const uint32_t *end;
  finish *exactly;
} run;

/* Computes a run; the first window's columns start at x. Sums wrap.
 *
 * A sum becomes round(round(sum * multiplier / 2^31) / 2^right) + zero point, the first with ties
 * towards +infinity, the second with ties away from zero, saturated to a byte.
 *
 * SMMLAR is c + ((a * b + 2^31) >> 32). Multipliers are at least 2^30; their doubles, less 2^32,
 * are int32 again, and with one of these for b and the sum for both a and c it is the first
 * rounding. The second is (y + 2^(right - 1) - (y < 0)) >> right, here in two shifts, the half and
 * the zero point added before the last. Where negative results end as the lowest output anyway, y <
 * 0 need not be looked at; elsewhere the word of shifts is negative. A shift by a register goes by
 * its low byte, here right - 1.
 *
 * r0 x, r1 filters, r2-r5 elements, r6-r9 weights, r10-r12 and lr sums. */
__attribute__((naked, noinline)) static void windows(TINYML_UNUSED const uint32_t *x,
                                                     TINYML_UNUSED const uint32_t *filters,
                                                     TINYML_UNUSED const run *pixels) {
  __asm__ volatile(
      "push   {r4-r11, lr}                 \n"
      "ldmia  r2, {r3-r8}                  \n"
      "push   {r3-r8}                      \n"
      "1:                                  \n"
      "ldmia  r1!, {r10, r11, r12, lr}     \n"
      ".rept  " TINYML_DSP_SIZE
      "          \n"
      ".rept  " TINYML_DSP_SIZE
      " / 2      \n"
      "ldmia  r0!, {r2, r3, r4, r5}        \n" TINYML_DSP_TWO_ROWS_WEIGHTS
      "smlad  r10, r2, r6, r10             \n"
      "smlad  r11, r3, r7, r11             \n"
      "smlad  r12, r4, r8, r12             \n"
      "smlad  lr, r5, r9, lr               \n"
      ".endr                               \n"
      "ldmia  r0!, {r2, r3}                \n" TINYML_DSP_LAST_ROW_WEIGHTS
      "smlabb r10, r2, r6, r10             \n"
      "smlabb r11, r3, r7, r11             \n"
      "smlatt r12, r2, r6, r12             \n"
      "smlatt lr, r3, r7, lr               \n"
      ".endr                               \n" TINYML_DSP_SCALE_WORDS
      "cmp    r6, #0                       \n"
      "blt    4f                           \n"
      "smmlar r10, r10, r2, r10            \n"
      "smmlar r11, r11, r3, r11            \n"
      "smmlar r12, r12, r4, r12            \n"
      "smmlar lr, lr, r5, lr               \n"
      "2:                                  \n"
      "asr    r10, r10, r6                 \n"
      "asr    r11, r11, r7                 \n"
      "asr    r12, r12, r8                 \n"
      "asr    lr, lr, r9                   \n"
      "ldmia  sp, {r2-r6}                  \n" /* step, out, half, back, end */
      "add    r10, r10, r4                 \n"
      "add    r11, r11, r4                 \n"
      "add    r12, r12, r4                 \n"
      "add    lr, lr, r4                   \n"
      "ssat   r10, #8, r10, asr #1         \n"
      "ssat   r11, #8, r11, asr #1         \n"
      "ssat   r12, #8, r12, asr #1         \n"
      "ssat   lr, #8, lr, asr #1           \n"
      "strb   r10, [r3]                    \n"
      "strb   r11, [r3, #1]                \n"
      "strb   r12, [r3, #2]                \n"
      "strb   lr, [r3, #3]                 \n"
      "3:                                  \n"
      "sub    r0, r0, r5                   \n"
      "sub    r1, r1, #(16 + " TINYML_DSP_WEIGHT_BYTES " * " TINYML_DSP_SIZE " * " TINYML_DSP_SIZE
      ")\n"
      "add    r3, r3, r2                   \n"
      "cmp    r0, r6                       \n"
      "str    r3, [sp, #4]                 \n"
      "bne    1b                           \n"
      "add    sp, sp, #24                  \n"
      "pop    {r4-r11, pc}                 \n"
      "4:                                  \n"
      "tst    r6, #0x40000000              \n"
      "bne    5f                           \n"
      "bic    r9, r9, #0xc0                \n"
      "smmlar r10, r10, r2, r10            \n"
      "smmlar r11, r11, r3, r11            \n"
      "smmlar r12, r12, r4, r12            \n"
      "smmlar lr, lr, r5, lr               \n"
      "add    r10, r10, r10, asr #31       \n"
      "add    r11, r11, r11, asr #31       \n"
      "add    r12, r12, r12, asr #31       \n"
      "add    lr, lr, lr, asr #31          \n"
      "b      2b                           \n"
      "5:                                  \n"
      "ldrd   r2, r3, [sp, #4]             \n" /* out, half */
      "ldr    r4, [sp, #20]                \n" /* exactly */
      "push   {r0, r1, r4}                 \n" /* r4: for sp to stay a multiple of eight */
      "push   {r10, r11, r12, lr}          \n"
      "mov    r0, sp                       \n"
      "blx    r4                           \n"
      "add    sp, sp, #16                  \n"
      "pop    {r0, r1, r4}                 \n"
      "ldmia  sp, {r2-r6}                  \n"
      "b      3b                           \n");
}

static inline void depthwise(const tinyml_depthwise_conv_square_s8_dsp_op *op,
                             const tinyml_span *span, const int8_t *const *rows, int8_t *out) {
  const int32_t channels = op->channels, stride = op->stride_x;
  const int32_t narrow = op->act_max - op->act_min < 255;
  const int32_t most = ((COLUMNS - SIZE) >> (stride - 1)) + 1; /* pixels computed together */
  const uint32_t zero = (uint16_t)op->input_zero_point * (uint32_t)0x10001;
  uint32_t columns[COLUMNS * COLUMN_WORDS];
  int8_t padding[QUAD];
  run pixels;
  memset(padding, op->input_zero_point, sizeof padding);
  pixels.step = channels;
  pixels.half = 2 * op->output_zero_point + 1;
  pixels.back = 4 * COLUMN_WORDS * (SIZE - stride);
  pixels.exactly = exact;
  for (int32_t x = 0; x < span->out_width; x += most) {
    const int32_t n = tinyml_min(span->out_width - x, most);
    const int32_t origin = x * stride - span->pad_left;
    const int32_t count = (n - 1) * stride + SIZE;
    const tinyml_taps inside = tinyml_clip(origin, span->in_width, count, 1);
    const int32_t seen = inside.end - inside.begin;
    const int32_t offset = (origin + inside.begin) * channels;
    uint32_t *const begin = columns + inside.begin * COLUMN_WORDS;
    const int32_t *packed = op->quads;
#if TINYML_DEPTHWISE_SIZE == 3
    three_rows whole = {NULL, NULL, NULL, -seen * channels, channels, begin};
    if (seen > 0 && rows[0] != NULL && rows[1] != NULL && rows[2] != NULL) {
      whole.a = rows[0] + offset - whole.begin;
      whole.b = rows[1] + offset - whole.begin;
      whole.c = rows[2] + offset - whole.begin;
    }
#endif
    fill(columns, inside.begin, zero);
    fill(begin + seen * COLUMN_WORDS, count - inside.end, zero);
    pixels.end = columns + n * stride * COLUMN_WORDS;
    for (int32_t next = 0; next < channels; next += QUAD) {
      const int32_t channel = tinyml_min(next, channels - QUAD);
#if TINYML_DEPTHWISE_SIZE == 3
      if (whole.a != NULL) {
        widen_three(&whole, channel);
      } else
#endif
          if (seen > 0) {
        widen(rows, offset + channel, channels, padding, seen, begin);
      }
      pixels.out = out + channel;
#if TINYML_DEPTHWISE_SIZE < 7
      uint32_t filters[FILTER_WORDS];
      packed = unpack(packed, filters);
      windows(columns, filters, &pixels);
#else
      windows(columns, (const uint32_t *)packed, &pixels);
      packed += PACKED_WORDS;
#endif
      if (narrow) clamp(op, n, pixels.out);
    }
    out += n * channels;
  }
}

#endif
