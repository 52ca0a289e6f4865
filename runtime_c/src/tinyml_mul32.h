/* Filters applied to two pixels at once, on cores whose widest product has 32 bits: both share each
 * multiplication.
 *
 * A word holds an element of either pixel, p = a - b * 2^16. Two products with it, and 2^15 - 1,
 *
 *   s = w0 * p0 + w1 * p1 + 2^15 - 1 = (w0 * a0 + w1 * a1 + 2^15 - 1) - (w0 * b0 + w1 * b1) * 2^16
 *
 * are exact for all int8: what is in parentheses first is within 255..65535, and what is second,
 * with its sign, within -32768..32512. So s >> 16 is the second pixel's part, negated, and no third
 * product would fit. `upper` adds these up; `all` adds up s modulo 2^32, so that
 * all - upper * 2^16 is the first pixel's sum, and what the constants come to.
 *
 * Weights are stored as w + 128, for cores that only load unsigned bytes at an offset. What that
 * adds is the same for all filters, so it is taken away with the constant: a block of two elements
 * is p0, p1, and 2^15 - 1 - 128 * (p0 + p1). An odd element's partner is 0. */
#ifndef TINYML_MUL32_H
#define TINYML_MUL32_H

#include "tinyml_filters.h"
#include "tinyml_kernels.h"

#if defined(__AVR__)
#error "these kernels need a multiplier of 32 bits"
#endif

enum {
  TINYML_MUL32_BLOCK = 3,  /* words of two elements of two pixels */
  TINYML_MUL32_RUN = 32,   /* channels whose sums are made before their outputs; in eights */
  TINYML_MUL32_ONE = 32767 /* the constant */
};

/* Two vectors of n elements become blocks; returns the word after them. */
static inline uint32_t *tinyml_mul32_pack(const int8_t *a, const int8_t *b, int32_t n,
                                          uint32_t *to) {
  for (int32_t i = n >> 1; i > 0; --i, a += 2, b += 2, to += TINYML_MUL32_BLOCK) {
    TINYML_LOAD_NO_EARLIER;
    const uint32_t p = (uint32_t)a[0] - ((uint32_t)b[0] << 16);
    const uint32_t q = (uint32_t)a[1] - ((uint32_t)b[1] << 16);
    to[0] = p, to[1] = q, to[2] = TINYML_MUL32_ONE - ((p + q) << 7);
  }
  if (n & 1) {
    const uint32_t p = (uint32_t)a[0] - ((uint32_t)b[0] << 16);
    to[0] = p, to[1] = 0, to[2] = TINYML_MUL32_ONE - (p << 7);
    to += TINYML_MUL32_BLOCK;
  }
  return to;
}

static inline void tinyml_mul32_sums(uint32_t all, uint32_t upper, int32_t *sums) {
  sums[0] = (int32_t)(all - (upper << 16)), sums[1] = (int32_t)(0u - upper);
}

#if defined(__thumb2__) || defined(TINYML_THUMB1)
/* A filter and a block, which is in r2, r3 and r4. Sums of Armv6-M are in high registers, which it
 * can do nothing but add to. */
#if defined(__thumb2__)
#define TINYML_MUL32_FILTER(all, upper, first, second) \
  "ldrb %[s], [%[w], #" #first                         \
  "]\n"                                                \
  "ldrb %[t], [%[w], #" #second                        \
  "]\n"                                                \
  "mla %[s], %[s], r2, r4\n"                           \
  "mla %[s], %[t], r3, %[s]\n"                         \
  "add %[" #all "], %[" #all                           \
  "], %[s]\n"                                          \
  "add %[" #upper "], %[" #upper "], %[s], asr #16\n"
#define TINYML_MUL32_SUM "r"
#else
#define TINYML_MUL32_FILTER(all, upper, first, second) \
  "ldrb %[s], [%[w], #" #first                         \
  "]\n"                                                \
  "ldrb %[t], [%[w], #" #second                        \
  "]\n"                                                \
  "muls %[s], r2, %[s]\n"                              \
  "muls %[t], r3, %[t]\n"                              \
  "adds %[s], %[s], %[t]\n"                            \
  "adds %[s], %[s], r4\n"                              \
  "add %[" #all                                        \
  "], %[s]\n"                                          \
  "asrs %[s], %[s], #16\n"                             \
  "add %[" #upper "], %[s]\n"
#define TINYML_MUL32_SUM "h"
#endif

#define TINYML_MUL32_STEP(first, second, third, fourth)                 \
  "ldmia %[p]!, {r2, r3, r4}\n" TINYML_MUL32_FILTER(a, c, first, third) \
      TINYML_MUL32_FILTER(b, d, second, fourth)

#define TINYML_MUL32_LOOP(steps, bytes, end)                                                      \
  __asm__ volatile(                                                                               \
      ".syntax unified\n"                                                                         \
      "1:\n" steps "adds %[w], %[w], #" #bytes                                                    \
      "\n"                                                                                        \
      "cmp %[p], %[stop]\n"                                                                       \
      "bne 1b\n"                                                                                  \
      : [p] "+l"(p), [w] "+l"(w), [a] "+" TINYML_MUL32_SUM(all0), [b] "+" TINYML_MUL32_SUM(all1), \
        [c] "+" TINYML_MUL32_SUM(upper0), [d] "+" TINYML_MUL32_SUM(upper1), [s] "=&l"(s),         \
        [t] "=&l"(t)                                                                              \
      : [stop] TINYML_MUL32_SUM(end)                                                              \
      : "r2", "r3", "r4", "cc", "memory")

/* Two filters of four side by side. */
static inline void tinyml_mul32_two(const uint32_t *p, int32_t blocks, const uint8_t *w,
                                    uint32_t start, int32_t *sums) {
  const uint32_t *const fours = p + TINYML_MUL32_BLOCK * (blocks & ~3);
  const uint32_t *const end = p + TINYML_MUL32_BLOCK * blocks;
  uint32_t all0 = start, all1 = start, upper0 = 0, upper1 = 0, s, t;
  if (p != fours) {
    TINYML_MUL32_LOOP(TINYML_MUL32_STEP(0, 1, 4, 5) TINYML_MUL32_STEP(8, 9, 12, 13)
                          TINYML_MUL32_STEP(16, 17, 20, 21) TINYML_MUL32_STEP(24, 25, 28, 29),
                      32, fours);
  }
  if (p != end) TINYML_MUL32_LOOP(TINYML_MUL32_STEP(0, 1, 4, 5), 8, end);
  tinyml_mul32_sums(all0, upper0, sums);
  tinyml_mul32_sums(all1, upper1, sums + 2);
}

/* Four filters side by side, element by element. */
static inline void tinyml_mul32_four(const uint32_t *p, int32_t blocks, const uint8_t *w,
                                     uint32_t start, int32_t *sums) {
  tinyml_mul32_two(p, blocks, w, start, sums);
  tinyml_mul32_two(p, blocks, w + 2, start, sums + 4);
}
#else
#define TINYML_MUL32_FILTER(all, upper, w, k, i)                                       \
  {                                                                                    \
    TINYML_LOAD_NO_EARLIER;                                                            \
    const uint32_t s = u * (w)[8 * (k) + (i)] + v * (w)[8 * (k) + 4 + (i)] + constant; \
    all += s, upper += (int32_t)s >> 16;                                               \
    __asm__("" : "+r"(all)); /* or all additions are done last, from the stack */      \
  }

#define TINYML_MUL32_FOUR(k, w, all0, all1, all2, all3, upper0, upper1, upper2, upper3) \
  TINYML_MUL32_FILTER(all0, upper0, w, k, 0)                                            \
  TINYML_MUL32_FILTER(all1, upper1, w, k, 1)                                            \
  TINYML_MUL32_FILTER(all2, upper2, w, k, 2)                                            \
  TINYML_MUL32_FILTER(all3, upper3, w, k, 3)

#define TINYML_MUL32_LOAD(k)                          \
  TINYML_LOAD_NO_EARLIER;                             \
  const uint32_t u = p[TINYML_MUL32_BLOCK * (k)];     \
  const uint32_t v = p[TINYML_MUL32_BLOCK * (k) + 1]; \
  const uint32_t constant = p[TINYML_MUL32_BLOCK * (k) + 2];

/* The sums of filters n to n + 3 of those that are stored from `sums` on. */
#define TINYML_MUL32_STORE(n, all0, all1, all2, all3, upper0, upper1, upper2, upper3) \
  tinyml_mul32_sums(all0, (uint32_t)upper0, sums + 2 * (n));                          \
  tinyml_mul32_sums(all1, (uint32_t)upper1, sums + 2 * (n) + 2);                      \
  tinyml_mul32_sums(all2, (uint32_t)upper2, sums + 2 * (n) + 4);                      \
  tinyml_mul32_sums(all3, (uint32_t)upper3, sums + 2 * (n) + 6);

/* Four filters side by side, element by element. */
static inline void tinyml_mul32_four(const uint32_t *p, int32_t blocks, const uint8_t *w,
                                     uint32_t start, int32_t *sums) {
  uint32_t a0 = start, a1 = start, a2 = start, a3 = start;
  int32_t b0 = 0, b1 = 0, b2 = 0, b3 = 0;
#define TINYML_STEP(k) \
  { TINYML_MUL32_LOAD(k) TINYML_MUL32_FOUR(k, w, a0, a1, a2, a3, b0, b1, b2, b3) }
#define TINYML_ADVANCE(k) p += TINYML_MUL32_BLOCK * (k), w += 8 * (k);
  TINYML_DOT(blocks, TINYML_STEP, TINYML_ADVANCE)
#undef TINYML_STEP
#undef TINYML_ADVANCE
  TINYML_MUL32_STORE(0, a0, a1, a2, a3, b0, b1, b2, b3)
}

#if defined(TINYML_REGISTERS_30)
/* Two times four filters. */
static inline void tinyml_mul32_eight(const uint32_t *p, int32_t blocks, const uint8_t *w,
                                      uint32_t start, int32_t *sums) {
  const uint8_t *x = w + 8 * blocks;
  uint32_t a0 = start, a1 = start, a2 = start, a3 = start;
  uint32_t a4 = start, a5 = start, a6 = start, a7 = start;
  int32_t b0 = 0, b1 = 0, b2 = 0, b3 = 0, b4 = 0, b5 = 0, b6 = 0, b7 = 0;
#define TINYML_STEP(k)                                      \
  {                                                         \
    TINYML_MUL32_LOAD(k)                                    \
    TINYML_MUL32_FOUR(k, w, a0, a1, a2, a3, b0, b1, b2, b3) \
    TINYML_MUL32_FOUR(k, x, a4, a5, a6, a7, b4, b5, b6, b7) \
  }
#define TINYML_ADVANCE(k) p += TINYML_MUL32_BLOCK * (k), w += 8 * (k), x += 8 * (k);
  TINYML_DOT(blocks, TINYML_STEP, TINYML_ADVANCE)
#undef TINYML_STEP
#undef TINYML_ADVANCE
  TINYML_MUL32_STORE(0, a0, a1, a2, a3, b0, b1, b2, b3)
  TINYML_MUL32_STORE(4, a4, a5, a6, a7, b4, b5, b6, b7)
}
#endif
#endif

/* All filters applied to blocks of two pixels, of which `pixels` are wanted; the second's outputs
 * follow the first's. */
__attribute__((noinline, weak)) void tinyml_mul32_filters(const tinyml_filters *f,
                                                          const uint32_t *p, int32_t blocks,
                                                          int32_t pixels, int8_t *out) {
  const TINYML_FLASH uint8_t *w = (const TINYML_FLASH uint8_t *)f->weights;
  const uint32_t start = 0u - (uint32_t)blocks * TINYML_MUL32_ONE;
  int32_t sums[2 * TINYML_MUL32_RUN];
  for (int32_t channel = 0; channel < f->out_channels; channel += TINYML_MUL32_RUN) {
    const int32_t count = tinyml_min(f->out_channels - channel, TINYML_MUL32_RUN);
    int32_t *sum = sums, *const end = sums + 2 * count;
#if defined(TINYML_REGISTERS_30)
    for (int32_t *const eights = sums + 2 * (count & ~7); sum < eights; sum += 16) {
      tinyml_mul32_eight(p, blocks, w, start, sum);
      w += 16 * blocks;
    }
#endif
    for (int32_t *const fours = sums + 2 * (count & ~3); sum < fours; sum += 8, w += 8 * blocks) {
      tinyml_mul32_four(p, blocks, w, start, sum);
    }
    for (; sum < end; sum += 2) {
      const uint32_t *q = p;
      uint32_t all = start, upper = 0;
      for (int32_t i = blocks; i > 0; --i, q += TINYML_MUL32_BLOCK, w += 2) {
        const uint32_t s = q[0] * w[0] + q[1] * w[1] + q[2];
        all += s, upper += (uint32_t)((int32_t)s >> 16);
      }
      tinyml_mul32_sums(all, upper, sum);
    }
    if (pixels == 1) {
      for (int32_t i = 1; i < count; ++i) sums[i] = sums[2 * i];
    }
    tinyml_outputs(f, sums, pixels, f->out_channels, channel, count, out + channel);
  }
}

#endif
