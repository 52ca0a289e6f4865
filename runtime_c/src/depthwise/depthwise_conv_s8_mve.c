/* Eight output pixels of sixteen channels at a time. The input columns that they see are first
 * spread over the scratch so that one word holds four rows of a column and channel: VST4 does that
 * for sixteen channels at once. A gathering load then takes four such words, all 16 bytes of one
 * channel, and VMLADAV sums their products with as many weights. The eight sums, of one channel,
 * share all that follows. */
#include "tinyml_kernels.h"
#include "tinyml_mve.h"
#include "tinyml_window.h"

enum {
  PIXELS = TINYML_DEPTHWISE_MVE_PIXELS, /* output pixels computed together */
  LANES = 16,                           /* channels spread together */
  ROWS = 4,                             /* of a word */
  COLUMN = LANES * ROWS
};

/* Where the rows of a word are read, and how far they move on from one column to the next. */
typedef struct {
  const int8_t *row[ROWS];
  int32_t step[ROWS];
} source;

/* clang-format off */
#define SPREAD(vpst, fourth_load, fourth_add)    \
  "vctp.8 %[lanes]                           \n" \
  "wls lr, %[columns], 2f                    \n" \
  "1:                                        \n" \
  vpst                                           \
  "vldrbt.u8 q0, [%[p]]                      \n" \
  "vldrbt.u8 q1, [%[q]]                      \n" \
  "vldrbt.u8 q2, [%[r]]                      \n" \
  fourth_load                                    \
  "vst40.8 {q0, q1, q2, q3}, [%[to]]         \n" \
  "vst41.8 {q0, q1, q2, q3}, [%[to]]         \n" \
  "vst42.8 {q0, q1, q2, q3}, [%[to]]         \n" \
  "vst43.8 {q0, q1, q2, q3}, [%[to]]!        \n" \
  "add %[p], %[p], %[dp]                     \n" \
  "add %[q], %[q], %[dq]                     \n" \
  "add %[r], %[r], %[dr]                     \n" \
  fourth_add                                     \
  "le lr, 1b                                 \n" \
  "2:                                        \n"
/* clang-format on */

#define SPREAD_CLOBBERS "lr", "q0", "q1", "q2", "q3", "cc", "memory"

/* Spreads columns of the first `lanes` channels; returns where the next column goes. The fourth
 * row may be missing: what stands in its place meets weights of zero. */
static int8_t *spread(int8_t *to, const source *from, int32_t rows, int32_t columns,
                      int32_t lanes) {
  const int8_t *p = from->row[0], *q = from->row[1], *r = from->row[2], *s = from->row[3];
  if (rows < ROWS) {
    __asm__ volatile(SPREAD("vpsttt\n", "", "")
                     : [to] "+r"(to), [p] "+r"(p), [q] "+r"(q), [r] "+r"(r)
                     : [dp] "r"(from->step[0]), [dq] "r"(from->step[1]), [dr] "r"(from->step[2]),
                       [columns] "r"(columns), [lanes] "r"(lanes)
                     : SPREAD_CLOBBERS);
  } else {
    __asm__ volatile(SPREAD("vpstttt\n", "vldrbt.u8 q3, [%[s]]\n", "add %[s], %[s], %[ds]\n")
                     : [to] "+r"(to), [p] "+r"(p), [q] "+r"(q), [r] "+r"(r), [s] "+r"(s)
                     : [dp] "r"(from->step[0]), [dq] "r"(from->step[1]), [dr] "r"(from->step[2]),
                       [ds] "r"(from->step[3]), [columns] "r"(columns), [lanes] "r"(lanes)
                     : SPREAD_CLOBBERS);
  }
  return to;
}

/* Spreads all that `count` output pixels from input pixel `origin` on see of the channels from
 * `channel` on: word by word of their rows, and in each one stride's columns after the other. */
static void spread_block(const tinyml_depthwise_conv_s8_mve_op *op, const tinyml_span *span,
                         const int8_t *const *rows, int32_t origin, int32_t count, int32_t channel,
                         int8_t *to) {
  const int32_t channels = op->filters.out_channels, stride = op->stride_x;
  const int32_t lanes = tinyml_min(channels - channel, LANES);
  const int32_t reach = (op->kernel_width - 1) * op->dilation_x;
  const int32_t columns = (count - 1) * stride + reach + 1;
  const int32_t next =
      COLUMN * TINYML_DEPTHWISE_MVE_COLUMNS(op->kernel_width, stride, op->dilation_x);
  int8_t padding[LANES];
  tinyml_mve_fill(padding, op->input_zero_point, LANES);
  const source outside = {{padding, padding, padding, padding}, {0, 0, 0, 0}};
  for (int32_t ky = 0; ky < op->kernel_height; ky += ROWS) {
    const int32_t height = tinyml_min(op->kernel_height - ky, ROWS);
    for (int32_t phase = 0; phase < stride; ++phase, to += next) {
      const int32_t first = origin + phase;
      const int32_t wanted = tinyml_steps(columns - phase, stride);
      const tinyml_taps inside = tinyml_clip(first, span->in_width, wanted, stride);
      source from = outside;
      for (int32_t i = 0; i < height; ++i) {
        if (rows[ky + i] == NULL) continue;
        from.row[i] = rows[ky + i] + (first + inside.begin * stride) * channels + channel;
        from.step[i] = stride * channels;
      }
      int8_t *at = to;
      if (inside.begin > 0) at = spread(at, &outside, height, inside.begin, lanes);
      at = spread(at, &from, height, inside.end - inside.begin, lanes);
      if (inside.end < wanted) spread(at, &outside, height, wanted - inside.end, lanes);
    }
  }
}

/* clang-format off */
#define SUMS                                 \
  "vmov %q[a][2], %q[a][0], r0, r4       \n" \
  "vmov %q[a][3], %q[a][1], r2, r6       \n" \
  "vmov %q[b][2], %q[b][0], r8, r12      \n" \
  "vmov %q[b][3], %q[b][1], r10, lr      \n"

#define ACCUMULATORS "r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr"

/* The sums of pixels 0, 2, 4, 6 and 1, 3, 5, 7. */
typedef struct {
  int32x4_t even;
  int32x4_t odd;
} sums;

/* With three columns at stride 1, four columns are what two pixels see. The weights of the second
 * are those of the first, a word later: there is a zero before them and one behind. */
static inline sums sum_pairs(const int32_t *w, uint32x4_t at) {
  int32x4_t a, b;
  __asm__ volatile(
      "vldrw.u32 %q[a], [%[w]]       \n"
      "vldrw.u32 %q[b], [%[w], #-4]  \n"
      "vldrw.u32 q0, [%q[at]]        \n"
      "vldrw.u32 q1, [%q[at], #128]  \n"
      "vmladav.s8 r0, q0, %q[a]      \n"
      "vmladav.s8 r8, q0, %q[b]      \n"
      "vldrw.u32 q0, [%q[at], #256]  \n"
      "vmladav.s8 r2, q1, %q[a]      \n"
      "vmladav.s8 r10, q1, %q[b]     \n"
      "vldrw.u32 q1, [%q[at], #384]  \n"
      "vmladav.s8 r4, q0, %q[a]      \n"
      "vmladav.s8 r12, q0, %q[b]     \n"
      "vmladav.s8 r6, q1, %q[a]      \n"
      "vmladav.s8 lr, q1, %q[b]      \n"
      SUMS
      : [a] "=&w"(a), [b] "=&w"(b)
      : [w] "r"(w), [at] "w"(at)
      : ACCUMULATORS, "q0", "q1", "memory");
  const sums result = {a, b};
  return result;
}

#define VECTOR(mla)                     \
  "vldrw.u32 %q[a], [%[w]], #16     \n" \
  "vldrw.u32 %q[b], [%[o]], #16     \n" \
  "vadd.i32 %q[b], %q[b], %[at]     \n" \
  "vldrw.u32 q0, [%q[b]]            \n" \
  "vldrw.u32 q1, [%q[b], #64]       \n" \
  mla " r0, q0, %q[a]               \n" \
  "vldrw.u32 q0, [%q[b], #128]      \n" \
  mla " r8, q1, %q[a]               \n" \
  "vldrw.u32 q1, [%q[b], #192]      \n" \
  mla " r2, q0, %q[a]               \n" \
  "vldrw.u32 q0, [%q[b], #256]      \n" \
  mla " r10, q1, %q[a]              \n" \
  "vldrw.u32 q1, [%q[b], #320]      \n" \
  mla " r4, q0, %q[a]               \n" \
  "vldrw.u32 q0, [%q[b], #384]      \n" \
  mla " r12, q1, %q[a]              \n" \
  "vldrw.u32 q1, [%q[b], #448]      \n" \
  mla " r6, q0, %q[a]               \n" \
  mla " lr, q1, %q[a]               \n"

/* Any window, in `vectors` of four words at `offsets` from the first. */
static inline sums sum_words(const int32_t *w, const int32_t *offsets, int32_t vectors,
                             const int8_t *at) {
  int32x4_t a, b;
  __asm__ volatile(
      VECTOR("vmladav.s8")
      "subs %[n], %[n], #1             \n"
      "beq 2f                          \n"
      "1:                              \n"
      VECTOR("vmladava.s8")
      "subs %[n], %[n], #1             \n"
      "bne 1b                          \n"
      "2:                              \n"
      SUMS
      : [a] "=&w"(a), [b] "=&w"(b), [w] "+r"(w), [o] "+r"(offsets), [n] "+r"(vectors)
      : [at] "r"(at)
      : ACCUMULATORS, "q0", "q1", "cc", "memory");
  const sums result = {a, b};
  return result;
}
/* clang-format on */

/* Rescales the sums of a channel and puts its byte of each of `count` pixels where it belongs. */
typedef struct {
  int16x8_t low;
  int16x8_t high;
  uint16x8_t places;
  int32_t zero_point;
  int32_t exact;
  int32_t count;
} output;

static inline void finish(const output *o, const int32_t *scale, sums s, int8_t *out) {
  const int32_t bias = scale[0], multiplier = scale[1], shifts = scale[2];
  int32x4_t a = vaddq_n_s32(s.even, bias), b = vaddq_n_s32(s.odd, bias);
  if (o->exact) {
    /* As tinyml_mve_rescale_exact. The second byte is the shift to the left, the third whether
     * there is one to the right. */
    const int32_t left = shifts >> 8 & 31, rounds = shifts >> 16;
    a = vqrdmulhq_n_s32(vshlq_r_s32(a, left), multiplier);
    b = vqrdmulhq_n_s32(vshlq_r_s32(b, left), multiplier);
    a = vmlaq_n_s32(a, vshrq_n_s32(a, 31), rounds);
    b = vmlaq_n_s32(b, vshrq_n_s32(b, 31), rounds);
  } else {
    a = vqrdmulhq_n_s32(a, multiplier);
    b = vqrdmulhq_n_s32(b, multiplier);
  }
  /* The instruction looks at the lowest byte only. */
  a = vrshlq_n_s32(a, shifts);
  b = vrshlq_n_s32(b, shifts);
  int16x8_t x = vqmovntq_s32(vqmovnbq_s32(vdupq_n_s16(0), a), b);
  x = vaddq_n_s16(vminq_s16(vmaxq_s16(x, o->low), o->high), (int16_t)o->zero_point);
  __asm__ volatile(
      "vctp.16 %[count]                     \n"
      "vpst                                 \n"
      "vstrbt.16 %q[x], [%[out], %q[places]]  \n"
      :
      : [x] "w"(x), [out] "r"(out), [places] "w"(o->places), [count] "r"(o->count)
      : "memory");
}

void tinyml_depthwise_conv_s8_mve(const tinyml_depthwise_conv_s8_mve_op *op,
                                  const tinyml_span *span, const int8_t *const *rows, int8_t *out,
                                  void *scratch) {
  const tinyml_mve_filters *f = &op->filters;
  const int32_t channels = f->out_channels, stride = op->stride_x;
  const int32_t words = op->kernel_width * ((op->kernel_height + ROWS - 1) / ROWS);
  const int32_t vectors = (words + 3) / 4;
  const int32_t pairs = words == 3 && op->kernel_width == 3 && stride == 1 && op->dilation_x == 1;
  int8_t *const block = scratch;
  output o;
  o.low = vdupq_n_s16((int16_t)(f->act_min - f->output_zero_point));
  o.high = vdupq_n_s16((int16_t)(f->act_max - f->output_zero_point));
  o.places = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)channels);
  o.zero_point = f->output_zero_point;
  o.exact = f->exact;
  for (int32_t x = 0; x < span->out_width; x += PIXELS, out += PIXELS * channels) {
    const int32_t *w = f->blocks;
    o.count = tinyml_min(span->out_width - x, PIXELS);
    for (int32_t channel = 0; channel < channels; ++channel, w += 4 + 4 * vectors) {
      const int32_t lane = channel % LANES;
      if (lane == 0) {
        spread_block(op, span, rows, x * stride - span->pad_left, o.count, channel, block);
      }
      const int8_t *at = block + ROWS * lane;
      if (pairs) {
        const uint32x4_t columns = vmulq_n_u32(vidupq_n_u32(0, 1), COLUMN);
        finish(&o, w, sum_pairs(w + 4, vaddq_n_u32(columns, (uint32_t)(uintptr_t)at)),
               out + channel);
      } else {
        finish(&o, w, sum_words(w + 4, op->offsets, vectors, at), out + channel);
      }
    }
  }
}
