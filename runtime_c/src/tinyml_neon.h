/* Filters applied to vectors with NEON, on AArch64: four filters by four vectors, 16 elements of
 * each at a time. Each kernel's file includes this; with TINYML_NEON_DOT the dot product
 * instructions of Armv8.2-A do the work.
 *
 * Without these, two products of bytes are added in 16 bits, which holds them as long as no weight
 * is -128, and pairs of such sums in 32.
 */
#ifndef TINYML_NEON_H
#define TINYML_NEON_H

#if !defined(__aarch64__) || !defined(__ARM_NEON)
#error "this kernel needs AArch64 with NEON"
#endif
#if defined(TINYML_NEON_DOT) && !defined(__ARM_FEATURE_DOTPROD)
#error "this kernel needs NEON with the dot product instructions"
#endif

#include <arm_neon.h>
#include <string.h>

#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

enum { TINYML_NEON_STEP = 16, TINYML_NEON_VECTORS = 4, TINYML_NEON_FILTERS = 4 };

/* tinyml_requantize of four sums, bit for bit; right is the negative part of the shift, left the
 * positive one. multiplier >= 0.
 *
 * SQRDMULH rounds like tinyml_high_mul and cannot saturate. SRSHL rounds ties upwards, so what is
 * negative and shifted has one taken off before; no product is so low that this could wrap. */
static inline int32x4_t tinyml_neon_rescale(int32x4_t x, int32x4_t multiplier, int32x4_t right,
                                            int32x4_t left) {
  const int32x4_t high = vqrdmulhq_s32(vshlq_s32(x, left), multiplier);
  return vrshlq_s32(vsraq_n_s32(high, vandq_s32(high, right), 31), right);
}

/* What becomes of rescaled sums. */
typedef struct {
  int16x8_t zero_point;
  int8x16_t act_min;
  int8x16_t act_max;
} tinyml_neon_limits;

static inline tinyml_neon_limits tinyml_neon_limits_of(int32_t zero_point, int32_t act_min,
                                                       int32_t act_max) {
  const tinyml_neon_limits limits = {vdupq_n_s16((int16_t)zero_point), vdupq_n_s8((int8_t)act_min),
                                     vdupq_n_s8((int8_t)act_max)};
  return limits;
}

/* tinyml_to_s8 of 16 values. Saturating at 16 bits first changes nothing, as what is out of their
 * range is out of a byte's with any zero point added. */
static inline int8x16_t tinyml_neon_to_s8(const tinyml_neon_limits *limits, int32x4x4_t x) {
  const int16x8_t a = vqmovn_high_s32(vqmovn_s32(x.val[0]), x.val[1]);
  const int16x8_t b = vqmovn_high_s32(vqmovn_s32(x.val[2]), x.val[3]);
  const int8x8_t low = vqmovn_s16(vqaddq_s16(a, limits->zero_point));
  const int8x16_t y = vqmovn_high_s16(low, vqaddq_s16(b, limits->zero_point));
  return vminq_s8(vmaxq_s8(y, limits->act_min), limits->act_max);
}

/* Vectors, each of `count` pieces of n elements. */
typedef struct {
  const int8_t *const *rows; /* NULL, or where the pieces of the first vector begin */
  const int8_t *base;        /* where they lie one after the other if not */
  int32_t offset;            /* added to either, in bytes */
  int32_t count;
  int32_t n;
  int32_t step; /* bytes from one vector to the next */
} tinyml_neon_vectors;

static inline const int8_t *tinyml_neon_piece(const tinyml_neon_vectors *v, int32_t i) {
  return (v->rows == NULL ? v->base + i * v->n : v->rows[i]) + v->offset;
}

/* memcpy of few bytes; 0 < n. What does not fill the last word of a size is copied twice. */
static inline void tinyml_neon_copy(int8_t *to, const int8_t *from, int32_t n) {
  if (n >= 16) {
    for (int32_t i = 0; i < n - 16; i += 16) vst1q_s8(to + i, vld1q_s8(from + i));
    vst1q_s8(to + n - 16, vld1q_s8(from + n - 16));
  } else if (n >= 8) {
    const int8x8_t last = vld1_s8(from + n - 8);
    vst1_s8(to, vld1_s8(from));
    vst1_s8(to + n - 8, last);
  } else if (n >= 4) {
    memcpy(to, from, 4);
    memcpy(to + n - 4, from + n - 4, 4);
  } else {
    for (int32_t i = 0; i < n; ++i) to[i] = from[i];
  }
}

/* Copies `vectors` vectors of one piece of less than a step, filled up with zeros. */
static inline tinyml_neon_vectors tinyml_neon_widened(const tinyml_neon_vectors *v, int32_t vectors,
                                                      int8_t *to) {
  const tinyml_neon_vectors whole = {NULL, to, 0, 1, TINYML_NEON_STEP, TINYML_NEON_STEP};
  const int8_t *from = tinyml_neon_piece(v, 0);
  memset(to, 0, TINYML_NEON_VECTORS * TINYML_NEON_STEP);
  for (int32_t i = 0; i < vectors; ++i, from += v->step, to += TINYML_NEON_STEP) {
    tinyml_neon_copy(to, from, v->n);
  }
  return whole;
}

/* The last step of a piece ends where the piece ends: it repeats elements of the one before, whose
 * weights are zero there. LOOP runs `body` for every step of it; `move` moves the pointers to the
 * vectors by so many bytes. */
#define TINYML_NEON_LOOP(n, body, move)                                          \
  for (int32_t left = (n) / TINYML_NEON_STEP, rest = (n) % TINYML_NEON_STEP;;) { \
    for (; left > 0; --left) {                                                   \
      body;                                                                      \
      move(TINYML_NEON_STEP);                                                    \
      w += TINYML_NEON_FILTERS * TINYML_NEON_STEP;                               \
    }                                                                            \
    if (rest == 0) break;                                                        \
    move(rest - TINYML_NEON_STEP);                                               \
    rest = 0;                                                                    \
    left = 1;                                                                    \
  }

#define TINYML_NEON_MOVE1(bytes) x0 += (bytes)
#define TINYML_NEON_MOVE4(bytes) x0 += (bytes), x1 += (bytes), x2 += (bytes), x3 += (bytes)

#ifdef TINYML_NEON_DOT

/* The sums of four filters for vector i. */
#define TINYML_NEON_SUMS(i, start) int32x4_t sum##i = start
#define TINYML_NEON_TOTAL(i) sum##i
#define TINYML_NEON_DOTS(i)                      \
  const int8x16_t v##i = vld1q_s8(x##i);         \
  sum##i = vdotq_laneq_s32(sum##i, w0, v##i, 0); \
  sum##i = vdotq_laneq_s32(sum##i, w1, v##i, 1); \
  sum##i = vdotq_laneq_s32(sum##i, w2, v##i, 2); \
  sum##i = vdotq_laneq_s32(sum##i, w3, v##i, 3)

#else

#define TINYML_NEON_SUMS(i, start)                                                    \
  int32x4_t sum##i##0 = vdupq_n_s32(0), sum##i##1 = sum##i##0, sum##i##2 = sum##i##0, \
            sum##i##3 = sum##i##0
#define TINYML_NEON_TOTAL(i) \
  vaddq_s32(bias, vpaddq_s32(vpaddq_s32(sum##i##0, sum##i##1), vpaddq_s32(sum##i##2, sum##i##3)))
#define TINYML_NEON_DOT1(i, j) \
  sum##i##j = vpadalq_s16(     \
      sum##i##j, vmlal_high_s8(vmull_s8(vget_low_s8(v##i), vget_low_s8(w##j)), v##i, w##j))
#define TINYML_NEON_DOTS(i)              \
  const int8x16_t v##i = vld1q_s8(x##i); \
  TINYML_NEON_DOT1(i, 0);                \
  TINYML_NEON_DOT1(i, 1);                \
  TINYML_NEON_DOT1(i, 2);                \
  TINYML_NEON_DOT1(i, 3)

#endif

#define TINYML_NEON_WEIGHTS                                                       \
  const int8x16_t w0 = vld1q_s8(w), w1 = vld1q_s8(w + 16), w2 = vld1q_s8(w + 32), \
                  w3 = vld1q_s8(w + 48)

#define TINYML_NEON_BODY1 \
  TINYML_NEON_WEIGHTS;    \
  TINYML_NEON_DOTS(0)

#define TINYML_NEON_BODY4 \
  TINYML_NEON_WEIGHTS;    \
  TINYML_NEON_DOTS(0);    \
  TINYML_NEON_DOTS(1);    \
  TINYML_NEON_DOTS(2);    \
  TINYML_NEON_DOTS(3)

/* Outputs of `channels` (at most four) filters for one vector. */
static inline void tinyml_neon_store(int8_t *out, int32_t word, int32_t channels) {
  if (channels >= TINYML_NEON_FILTERS) {
    memcpy(out, &word, TINYML_NEON_FILTERS);
    return;
  }
  for (int32_t i = 0; i < channels; ++i) out[i] = (int8_t)((uint32_t)word >> 8 * i);
}

/* All filters applied to one vector. */
static inline void tinyml_neon_filter1(const tinyml_neon_filters *f, const tinyml_neon_vectors *v,
                                       int8_t *out) {
  const tinyml_neon_limits limits =
      tinyml_neon_limits_of(f->output_zero_point, f->act_min, f->act_max);
  const int32_t *block = f->blocks;
  for (int32_t more = f->out_channels; more > 0; more -= TINYML_NEON_FILTERS, out += 4) {
    const int32x4_t bias = vld1q_s32(block), multiplier = vld1q_s32(block + 4);
    const int32x4_t right = vld1q_s32(block + 8), left_shift = vld1q_s32(block + 12);
    const int8_t *w = (const int8_t *)(block + 16);
    TINYML_NEON_SUMS(0, bias);
    for (int32_t i = 0; i < v->count; ++i) {
      const int8_t *x0 = tinyml_neon_piece(v, i);
      TINYML_NEON_LOOP(v->n, TINYML_NEON_BODY1, TINYML_NEON_MOVE1)
    }
    const int32x4_t y = tinyml_neon_rescale(TINYML_NEON_TOTAL(0), multiplier, right, left_shift);
    const int32x4x4_t all = {{y, y, y, y}};
    const int8x16_t result = tinyml_neon_to_s8(&limits, all);
    tinyml_neon_store(out, vgetq_lane_s32(vreinterpretq_s32_s8(result), 0), more);
    block = (const int32_t *)(const void *)w;
  }
}

/* The same for `vectors` (one to four) of them; the outputs of each follow those of the one before.
 * Where there are fewer than four, the last one is computed so often. */
static inline void tinyml_neon_filter4(const tinyml_neon_filters *f, const tinyml_neon_vectors *v,
                                       int32_t vectors, int8_t *out) {
  const tinyml_neon_limits limits =
      tinyml_neon_limits_of(f->output_zero_point, f->act_min, f->act_max);
  const int32_t second = tinyml_min(1, vectors - 1), third = tinyml_min(2, vectors - 1);
  const int32_t channels = f->out_channels, last = vectors - 1;
  const int32_t *block = f->blocks;
  for (int32_t more = channels; more > 0; more -= TINYML_NEON_FILTERS, out += 4) {
    const int32x4_t bias = vld1q_s32(block);
    const int8_t *w = (const int8_t *)(block + 16);
    TINYML_NEON_SUMS(0, bias);
    TINYML_NEON_SUMS(1, bias);
    TINYML_NEON_SUMS(2, bias);
    TINYML_NEON_SUMS(3, bias);
    for (int32_t i = 0; i < v->count; ++i) {
      const int8_t *x0 = tinyml_neon_piece(v, i), *x1 = x0 + second * v->step;
      const int8_t *x2 = x0 + third * v->step, *x3 = x0 + last * v->step;
      TINYML_NEON_LOOP(v->n, TINYML_NEON_BODY4, TINYML_NEON_MOVE4)
    }
    const int32x4_t multiplier = vld1q_s32(block + 4);
    const int32x4_t right = vld1q_s32(block + 8), left_shift = vld1q_s32(block + 12);
    const int32x4x4_t all = {
        {tinyml_neon_rescale(TINYML_NEON_TOTAL(0), multiplier, right, left_shift),
         tinyml_neon_rescale(TINYML_NEON_TOTAL(1), multiplier, right, left_shift),
         tinyml_neon_rescale(TINYML_NEON_TOTAL(2), multiplier, right, left_shift),
         tinyml_neon_rescale(TINYML_NEON_TOTAL(3), multiplier, right, left_shift)}};
    const int32x4_t results = vreinterpretq_s32_s8(tinyml_neon_to_s8(&limits, all));
    tinyml_neon_store(out, vgetq_lane_s32(results, 0), more);
    tinyml_neon_store(out + second * channels, vgetq_lane_s32(results, 1), more);
    tinyml_neon_store(out + third * channels, vgetq_lane_s32(results, 2), more);
    tinyml_neon_store(out + last * channels, vgetq_lane_s32(results, 3), more);
    block = (const int32_t *)(const void *)w;
  }
}

/* All filters applied to one to four vectors. */
static inline void tinyml_neon_filter(const tinyml_neon_filters *f, const tinyml_neon_vectors *v,
                                      int32_t vectors, int8_t *out) {
  int8_t copies[TINYML_NEON_VECTORS * TINYML_NEON_STEP];
  tinyml_neon_vectors whole = *v;
  if (v->n < TINYML_NEON_STEP) whole = tinyml_neon_widened(v, vectors, copies);
  if (vectors == 1) {
    tinyml_neon_filter1(f, &whole, out);
  } else {
    tinyml_neon_filter4(f, &whole, vectors, out);
  }
}

/* All filters applied to `width` vectors. */
static inline void tinyml_neon_filter_row(const tinyml_neon_filters *f, tinyml_neon_vectors v,
                                          int32_t width, int8_t *out) {
  for (int32_t x = 0; x < width; x += TINYML_NEON_VECTORS) {
    tinyml_neon_filter(f, &v, tinyml_min(width - x, TINYML_NEON_VECTORS), out);
    v.offset += TINYML_NEON_VECTORS * v.step;
    out += TINYML_NEON_VECTORS * f->out_channels;
  }
}

#endif
