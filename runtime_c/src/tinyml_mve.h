/* Filters applied to vectors with Helium (MVE): two vectors by four filters at a time, 16 elements
 * of each to a step, 16 products to an instruction (VMLADAVA), which sums them into one of the
 * eight even registers. The sums of four filters then share a vector for all that follows.
 *
 * Filters lie in blocks of four as `tinyml_mve_filters` says, filled up with zeros to whole steps,
 * so that they are read in one go.
 *
 * Inline assembly where it must have all even registers, or a predicate: GCC 12 has no name under
 * which all compilers know the predicate as clobbered, so it never leaves the assembly. */
#ifndef TINYML_MVE_H
#define TINYML_MVE_H

#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

#if !defined(__ARM_FEATURE_MVE)
#error "these kernels need a core with Helium (isa \"mve\" of the board)"
#endif

#include <arm_mve.h>

/* Elements of a step */
#define TINYML_MVE_STEP 16

static inline int32_t tinyml_mve_steps(int32_t n) { return (n + 15) / 16; }

/* Copies n bytes, n >= 0. */
static inline void tinyml_mve_copy(int8_t *to, const int8_t *from, int32_t n) {
  __asm__ volatile(
      "wlstp.8 lr, %[n], 2f           \n"
      "1: vldrb.u8 q0, [%[from]], #16 \n"
      "vstrb.8 q0, [%[to]], #16       \n"
      "letp lr, 1b                    \n"
      "2:                             \n"
      : [to] "+r"(to), [from] "+r"(from)
      : [n] "r"(n)
      : "lr", "q0", "cc", "memory");
}

/* Copies n bytes of two vectors, n >= 0. */
static inline void tinyml_mve_copy2(int8_t *to, int8_t *to2, const int8_t *from,
                                    const int8_t *from2, int32_t n) {
  __asm__ volatile(
      "wlstp.8 lr, %[n], 2f             \n"
      "1: vldrb.u8 q0, [%[from]], #16   \n"
      "vldrb.u8 q1, [%[from2]], #16     \n"
      "vstrb.8 q0, [%[to]], #16         \n"
      "vstrb.8 q1, [%[to2]], #16        \n"
      "letp lr, 1b                      \n"
      "2:                               \n"
      : [to] "+r"(to), [to2] "+r"(to2), [from] "+r"(from), [from2] "+r"(from2)
      : [n] "r"(n)
      : "lr", "q0", "q1", "cc", "memory");
}

/* Sets n bytes, n >= 0. */
static inline void tinyml_mve_fill(int8_t *to, int32_t value, int32_t n) {
  __asm__ volatile(
      "vdup.8 q0, %[value]            \n"
      "wlstp.8 lr, %[n], 2f           \n"
      "1: vstrb.8 q0, [%[to]], #16    \n"
      "letp lr, 1b                    \n"
      "2:                             \n"
      : [to] "+r"(to)
      : [value] "r"(value), [n] "r"(n)
      : "lr", "q0", "cc", "memory");
}

/* Loads the first `left` bytes, at most four, into lanes, and moves on to the next four. */
static inline int32x4_t tinyml_mve_load(const int8_t **from, int32_t left) {
  const int8_t *next = *from;
  int32x4_t x;
  __asm__ volatile(
      "vctp.32 %[left]                \n"
      "vpst                           \n"
      "vldrbt.s32 %q[x], [%[next]], #4 \n"
      : [x] "=w"(x), [next] "+l"(next)
      : [left] "r"(left)
      : "memory");
  *from = next;
  return x;
}

/* Stores the low bytes of the first `left` lanes; returns where the next four go. */
static inline int8_t *tinyml_mve_store(int8_t *to, int32x4_t x, int32_t left) {
  __asm__ volatile(
      "vctp.32 %[left]                \n"
      "vpst                           \n"
      "vstrbt.32 %q[x], [%[to]], #4   \n"
      : [to] "+l"(to)
      : [x] "w"(x), [left] "r"(left)
      : "memory");
  return to;
}

/* What becomes of the sums of all channels alike. */
typedef struct {
  int32x4_t low; /* before the zero point is added */
  int32x4_t high;
  int32_t zero_point;
  int32_t exact;
} tinyml_mve_output;

static inline tinyml_mve_output tinyml_mve_output_of(const tinyml_mve_filters *f) {
  const tinyml_mve_output output = {vdupq_n_s32(f->act_min - f->output_zero_point),
                                    vdupq_n_s32(f->act_max - f->output_zero_point),
                                    f->output_zero_point, f->exact};
  return output;
}

/* round(round(x * 2^left * multiplier / 2^31) / 2^right), the first with ties towards +infinity,
 * the second with ties away from zero; `down` is -right. VQRDMULH is the first. VRSHL rounds ties
 * up, so negative numbers that it rounds are taken down by one before. None of them can be -2^31,
 * as multipliers are below 2^31. */
static inline int32x4_t tinyml_mve_rescale_exact(int32x4_t x, int32x4_t multiplier, int32x4_t down,
                                                 int32x4_t left) {
  const int32x4_t y = vqrdmulhq_s32(vshlq_s32(x, left), multiplier);
  return vrshlq_s32(vaddq_s32(y, vshrq_n_s32(vandq_s32(y, down), 31)), down);
}

/* The same where left is 0 and the result matters only where it is positive. */
static inline int32x4_t tinyml_mve_rescale(int32x4_t x, int32x4_t multiplier, int32x4_t down) {
  return vrshlq_s32(vqrdmulhq_s32(x, multiplier), down);
}

static inline int32x4_t tinyml_mve_clamp(int32x4_t x, const tinyml_mve_output *output) {
  return vaddq_n_s32(vminq_s32(vmaxq_s32(x, output->low), output->high), output->zero_point);
}

/* clang-format off */

/* One step of two vectors, in q0 and q1, by four filters; `mla` sums or, in the first step, sets */
#define TINYML_MVE_MACS2(mla)   \
  "vldrw.u32 q2, [%[w]], #16\n" \
  mla " r0, q0, q2\n"           \
  "vldrw.u32 q3, [%[w]], #16\n" \
  mla " r8, q1, q2\n"           \
  mla " r2, q0, q3\n"           \
  "vldrw.u32 q2, [%[w]], #16\n" \
  mla " r10, q1, q3\n"          \
  mla " r4, q0, q2\n"           \
  "vldrw.u32 q3, [%[w]], #16\n" \
  mla " r12, q1, q2\n"          \
  mla " r6, q0, q3\n"           \
  mla " lr, q1, q3\n"

#define TINYML_MVE_WHOLE2      \
  "vldrb.u8 q0, [%[x]], #16\n" \
  "vldrb.u8 q1, [%[y]], #16\n"

/* All whole steps: the first, one more if their number is even, and the rest two by two */
#define TINYML_MVE_STEPS2         \
  TINYML_MVE_WHOLE2               \
  TINYML_MVE_MACS2("vmladav.s8")  \
  "subs %[steps], %[steps], #1\n" \
  "lsrs %[steps], %[steps], #1\n" \
  "bcc 2f\n"                      \
  TINYML_MVE_WHOLE2               \
  TINYML_MVE_MACS2("vmladava.s8") \
  "2:\n"                          \
  "beq 4f\n"                      \
  "3:\n"                          \
  TINYML_MVE_WHOLE2               \
  TINYML_MVE_MACS2("vmladava.s8") \
  TINYML_MVE_WHOLE2               \
  TINYML_MVE_MACS2("vmladava.s8") \
  "subs %[steps], %[steps], #1\n" \
  "bne 3b\n"                      \
  "4:\n"

/* The last step, of `tail` elements */
#define TINYML_MVE_TAIL2        \
  "ldr %[steps], [%[s], #28]\n" \
  "vctp.8 %[steps]\n"           \
  "vpstt\n"                     \
  "vldrbt.u8 q0, [%[x]]\n"      \
  "vldrbt.u8 q1, [%[y]]\n"

/* The sums become bytes: as tinyml_mve_rescale or tinyml_mve_rescale_exact and tinyml_mve_clamp. */
#define TINYML_MVE_FINISH2           \
  "vmov q0[2], q0[0], r0, r4\n"      \
  "vmov q0[3], q0[1], r2, r6\n"      \
  "vmov q1[2], q1[0], r8, r12\n"     \
  "vmov q1[3], q1[1], r10, lr\n"     \
  "vldrw.u32 q4, [%[w]], #16\n"      \
  "vldrw.u32 q2, [%[w]], #16\n"      \
  "vldrw.u32 q3, [%[w]], #16\n"      \
  "ldrd r8, r10, [%[s], #8]\n"       \
  "vadd.i32 q0, q0, q4\n"            \
  "vadd.i32 q1, q1, q4\n"            \
  "cmp r10, #0\n"                    \
  "bne 5f\n"                         \
  "vqrdmulh.s32 q0, q0, q2\n"        \
  "vqrdmulh.s32 q1, q1, q2\n"        \
  "6:\n"                             \
  "ldrd r0, r2, [%[s]]\n"            \
  "vrshl.s32 q0, q0, q3\n"           \
  "ldr r4, [%[s], #16]\n"            \
  "vrshl.s32 q1, q1, q3\n"           \
  "vmax.s32 q0, q0, %q[low]\n"       \
  "vmax.s32 q1, q1, %q[low]\n"       \
  "vmin.s32 q0, q0, %q[high]\n"      \
  "vmin.s32 q1, q1, %q[high]\n"      \
  "vadd.i32 q0, q0, r4\n"            \
  "vadd.i32 q1, q1, r4\n"            \
  "vctp.32 r8\n"                     \
  "vpstt\n"                          \
  "vstrbt.32 q0, [r0], #4\n"         \
  "vstrbt.32 q1, [r2], #4\n"         \
  "subs r8, r8, #4\n"                \
  "ble 7f\n"                         \
  "strd r0, r2, [%[s]]\n"            \
  "ldrd %[steps], r6, [%[s], #20]\n" \
  "str r8, [%[s], #8]\n"             \
  "sub %[x], %[x], r6\n"             \
  "sub %[y], %[y], r6\n"             \
  "b 1b\n"                           \
  "5:\n"                             \
  "vldrw.u32 q4, [%[w]], #16\n"      \
  "vshl.s32 q0, q0, q4\n"            \
  "vshl.s32 q1, q1, q4\n"            \
  "vqrdmulh.s32 q0, q0, q2\n"        \
  "vqrdmulh.s32 q1, q1, q2\n"        \
  "vand q4, q0, q3\n"                \
  "vand q5, q1, q3\n"                \
  "vshr.s32 q4, q4, #31\n"           \
  "vshr.s32 q5, q5, #31\n"           \
  "vadd.i32 q0, q0, q4\n"            \
  "vadd.i32 q1, q1, q5\n"            \
  "b 6b\n"                           \
  "7:\n"

#define TINYML_MVE_ASM2(sums)                                                            \
  __asm__ volatile("1:\n" sums TINYML_MVE_FINISH2                                        \
                   : [x] "+r"(x), [y] "+r"(y), [w] "+r"(w), [steps] "+r"(steps)          \
                   : [s] "r"(&state), [low] "w"(low), [high] "w"(high)                   \
                   : "r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr", "q0", "q1", "q2", \
                     "q3", "q4", "q5", "cc", "memory")

#define TINYML_MVE_MACS1(mla)   \
  "vldrw.u32 q1, [%[w]], #16\n" \
  "vldrw.u32 q2, [%[w]], #16\n" \
  mla " r0, q0, q1\n"           \
  "vldrw.u32 q1, [%[w]], #16\n" \
  mla " r2, q0, q2\n"           \
  "vldrw.u32 q2, [%[w]], #16\n" \
  mla " r4, q0, q1\n"           \
  mla " r6, q0, q2\n"

#define TINYML_MVE_STEPS1         \
  "subs lr, %[steps], #1\n"       \
  "vldrb.u8 q0, [%[x]], #16\n"    \
  TINYML_MVE_MACS1("vmladav.s8")  \
  "wls lr, lr, 2f\n"              \
  "1:\n"                          \
  "vldrb.u8 q0, [%[x]], #16\n"    \
  TINYML_MVE_MACS1("vmladava.s8") \
  "le lr, 1b\n"                   \
  "2:\n"

#define TINYML_MVE_TAIL1 \
  "vctp.8 %[tail]\n"     \
  "vpst\n"               \
  "vldrbt.u8 q0, [%[x]]\n"

#define TINYML_MVE_ASM1(code)                                   \
  __asm__ volatile(code                                         \
                   "vmov %q[a][2], %q[a][0], r0, r4\n"          \
                   "vmov %q[a][3], %q[a][1], r2, r6\n"          \
                   : [x] "+r"(next_x), [w] "+r"(w), [a] "=w"(a) \
                   : [steps] "r"(full), [tail] "r"(tail)        \
                   : "r0", "r2", "r4", "r6", "lr", "q0", "q1", "q2", "cc", "memory")
/* clang-format on */

/* What the assembly has no registers for, in the order that it knows. */
typedef struct {
  int8_t *out_x;
  int8_t *out_y;
  int32_t left; /* channels */
  int32_t exact;
  int32_t zero_point;
  int32_t steps; /* whole ones */
  int32_t bytes; /* of these */
  int32_t tail;
} tinyml_mve_state;

/* All filters applied to two vectors of 16 * full + tail elements, tail < 16; the second's outputs
 * follow the first's. */
static inline void tinyml_mve_filter2(const tinyml_mve_filters *f, const int8_t *x, const int8_t *y,
                                      int32_t full, int32_t tail, int8_t *out) {
  const int32x4_t low = vdupq_n_s32(f->act_min - f->output_zero_point);
  const int32x4_t high = vdupq_n_s32(f->act_max - f->output_zero_point);
  const int32_t *w = f->blocks;
  int32_t steps = full;
  tinyml_mve_state state = {out,
                            out + f->out_channels,
                            f->out_channels,
                            f->exact,
                            f->output_zero_point,
                            full,
                            full * TINYML_MVE_STEP,
                            tail};
  if (tail == 0) {
    TINYML_MVE_ASM2(TINYML_MVE_STEPS2);
  } else if (full == 0) {
    TINYML_MVE_ASM2(TINYML_MVE_TAIL2 TINYML_MVE_MACS2("vmladav.s8"));
  } else {
    TINYML_MVE_ASM2(TINYML_MVE_STEPS2 TINYML_MVE_TAIL2 TINYML_MVE_MACS2("vmladava.s8"));
  }
}

/* All filters applied to one vector; `offset` joins each sum. */
static inline void tinyml_mve_filter1(const tinyml_mve_filters *f, const int8_t *x, int32_t full,
                                      int32_t tail, int32_t offset, int8_t *out) {
  const tinyml_mve_output output = tinyml_mve_output_of(f);
  const int32_t *w = f->blocks;
  for (int32_t left = f->out_channels; left > 0; left -= 4) {
    int32x4_t a;
    const int8_t *next_x = x;
    if (tail == 0) {
      TINYML_MVE_ASM1(TINYML_MVE_STEPS1);
    } else if (full == 0) {
      TINYML_MVE_ASM1(TINYML_MVE_TAIL1 TINYML_MVE_MACS1("vmladav.s8"));
    } else {
      TINYML_MVE_ASM1(TINYML_MVE_STEPS1 TINYML_MVE_TAIL1 TINYML_MVE_MACS1("vmladava.s8"));
    }
    a = vaddq_n_s32(vaddq_s32(a, vldrwq_s32(w)), offset);
    const int32x4_t multiplier = vldrwq_s32(w + 4);
    const int32x4_t down = vldrwq_s32(w + 8);
    if (output.exact) {
      a = tinyml_mve_rescale_exact(a, multiplier, down, vldrwq_s32(w + 12));
      w += 16;
    } else {
      a = tinyml_mve_rescale(a, multiplier, down);
      w += 12;
    }
    out = tinyml_mve_store(out, tinyml_mve_clamp(a, &output), left);
  }
}

#endif
