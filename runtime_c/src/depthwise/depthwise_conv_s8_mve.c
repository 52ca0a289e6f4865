/* As depthwise_conv_3x3_s8_mve.c, for windows of other sizes: one word holds four rows of a column
 * and channel, and a window has as many vectors of four words as it needs, wherever they lie. */
#include "tinyml_kernels.h"
#include "tinyml_mve.h"
#include "tinyml_window.h"

enum {
  PIXELS = 8, /* output pixels computed together */
  LANES = 16, /* channels spread together */
  ROWS = 4,   /* of a word */
  WORDS = 4,  /* of a vector */
  SCALE = 3,  /* words of a channel's bias and rescale */
  COLUMN = LANES * ROWS
};

/* Where the four rows of a word are read, how far one pixel is from the next, and sixteen channels
 * from the next. What is read in place of a row of padding stays where it is. */
typedef struct {
  const int8_t *rows[ROWS];
  int32_t pixel[ROWS];
  int32_t channels[ROWS];
  int8_t *to;
  int32_t count; /* of pixels */
} source;

/* clang-format off */
#define SPREAD(vpst, fourth_load, fourth_add)       \
  "vldrw.u32 q0, [%[from]]\n"                       \
  "vldrw.u32 q1, [%[from], #32]\n"                  \
  "ldm %[from], {r0, r1, r2, r3, r4, r5, r6, r8}\n" \
  "vadd.i32 q0, q0, q1\n"                           \
  "vstrw.32 q0, [%[from]]\n"                        \
  "vctp.8 %[lanes]\n"                               \
  "ldr lr, [%[from], %[count]]\n"                   \
  "wls lr, lr, 2f\n"                                \
  "1:\n"                                            \
  vpst                                              \
  "vldrbt.u8 q0, [r0]\n"                            \
  "vldrbt.u8 q1, [r1]\n"                            \
  "vldrbt.u8 q2, [r2]\n"                            \
  fourth_load                                       \
  "vst40.8 {q0, q1, q2, q3}, [%[to]]\n"             \
  "add r0, r0, r4\n"                                \
  "vst41.8 {q0, q1, q2, q3}, [%[to]]\n"             \
  "add r1, r1, r5\n"                                \
  "vst42.8 {q0, q1, q2, q3}, [%[to]]\n"             \
  "add r2, r2, r6\n"                                \
  "vst43.8 {q0, q1, q2, q3}, [%[to]]!\n"            \
  fourth_add                                        \
  "le lr, 1b\n"                                     \
  "2:\n"

#define SPREAD_ASM(code)                                                                        \
  __asm__ volatile(code                                                                         \
                   : [to] "+r"(to)                                                              \
                   : [from] "r"(from), [count] "i"(offsetof(source, count)), [lanes] "r"(lanes)  \
                   : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r8", "lr", "q0", "q1", "q2",    \
                     "q3", "cc", "memory")
/* clang-format on */

/* Spreads what the windows see inside the map of some channels, and moves on to the next. Where
 * `height` is less than four, what stands in place of the fourth row meets weights of zero. */
static __attribute__((noinline)) void spread(source *from, int32_t height, int32_t lanes) {
  int8_t *to = from->to;
  if (height < ROWS) {
    SPREAD_ASM(SPREAD("vpsttt\n", "", ""));
  } else {
    SPREAD_ASM(SPREAD("vpstttt\n", "vldrbt.u8 q3, [r3]\n", "add r3, r3, r8\n"));
  }
}

/* clang-format off */

/* The first sums are those of pixels 0, 2, 4 and 6, the others of 1, 3, 5 and 7. */
#define SUMS                     \
  "vmov q0[2], q0[0], r0, r4\n"  \
  "vmov q0[3], q0[1], r2, r6\n"  \
  "vmov q1[2], q1[0], r8, r12\n" \
  "vmov q1[3], q1[1], r10, lr\n"

/* One of the vectors of four words that each pixel has. */
#define VECTOR(mla)                   \
  "vldrw.u32 q2, [%[w]], #16\n"       \
  "vldrw.u32 q3, [%[offsets]], #16\n" \
  "vadd.i32 q3, q3, %[at]\n"          \
  "vldrw.u32 q0, [q3]\n"              \
  "vldrw.u32 q1, [q3, #64]\n"         \
  mla " r0, q0, q2\n"                 \
  "vldrw.u32 q0, [q3, #128]\n"        \
  mla " r8, q1, q2\n"                 \
  "vldrw.u32 q1, [q3, #192]\n"        \
  mla " r2, q0, q2\n"                 \
  "vldrw.u32 q0, [q3, #256]\n"        \
  mla " r10, q1, q2\n"                \
  "vldrw.u32 q1, [q3, #320]\n"        \
  mla " r4, q0, q2\n"                 \
  "vldrw.u32 q0, [q3, #384]\n"        \
  mla " r12, q1, q2\n"                \
  "vldrw.u32 q1, [q3, #448]\n"        \
  mla " r6, q0, q2\n"                 \
  mla " lr, q1, q2\n"

#define CLOBBERS \
  "r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr", "q0", "q1", "q2", "q3", "cc", "memory"
/* clang-format on */

/* What all channels have in common. */
typedef struct {
  int16x8_t low; /* before the zero point is added */
  int16x8_t high;
  uint16x8_t places; /* of eight bytes */
  int32_t zero_point;
  int32_t exact;
  int32_t count; /* of pixels */
} common;

/* The sums of a channel become bytes, which go where they belong. */
static inline void finish(const common *c, const int32_t *scale, int32x4_t even, int32x4_t odd,
                          int8_t *out) {
  const int32_t multiplier = scale[1], shifts = scale[2];
  even = vaddq_n_s32(even, scale[0]);
  odd = vaddq_n_s32(odd, scale[0]);
  if (c->exact) {
    const int32_t left = shifts >> 8, rounds = shifts >> 16;
    even = vqrdmulhq_n_s32(vshlq_r_s32(even, left), multiplier);
    odd = vqrdmulhq_n_s32(vshlq_r_s32(odd, left), multiplier);
    even = vmlaq_n_s32(even, vshrq_n_s32(even, 31), rounds);
    odd = vmlaq_n_s32(odd, vshrq_n_s32(odd, 31), rounds);
  } else {
    even = vqrdmulhq_n_s32(even, multiplier);
    odd = vqrdmulhq_n_s32(odd, multiplier);
  }
  const int16x8_t low = vqmovnbq_s32(vdupq_n_s16(0), vrshlq_n_s32(even, shifts));
  int16x8_t x = vqmovntq_s32(low, vrshlq_n_s32(odd, shifts));
  x = vaddq_n_s16(vminq_s16(vmaxq_s16(x, c->low), c->high), (int16_t)c->zero_point);
  __asm__ volatile(
      "vctp.16 %[count]                     \n"
      "vpst                                 \n"
      "vstrbt.16 %q[x], [%[out], %q[places]]  \n"
      :
      : [x] "w"(x), [out] "r"(out), [places] "w"(c->places), [count] "r"(c->count)
      : "memory");
}

/* Computes the pixels of `lanes` channels from their words, and returns the next weights. A
 * function of its own so that there are registers enough. */
static __attribute__((noinline)) const int32_t *filter(const common *c, const int32_t *w,
                                                       const int32_t *offsets, int32_t vectors,
                                                       const int8_t *at, int32_t lanes,
                                                       int8_t *out) {
  for (int32_t i = 0; i < lanes; ++i, at += ROWS, ++out) {
    const int32_t *next = offsets;
    int32_t n = vectors;
    int32x4_t even, odd;
    __asm__ volatile(VECTOR("vmladav.s8")
                     "subs %[n], %[n], #1       \n"
                     "beq 2f                    \n"
                     "1:                        \n"
                     VECTOR("vmladava.s8")
                     "subs %[n], %[n], #1       \n"
                     "bne 1b                    \n"
                     "2:                        \n"
                     SUMS
                     "vmov %q[even], q0         \n"
                     "vmov %q[odd], q1          \n"
                     : [w] "+r"(w), [offsets] "+r"(next), [n] "+r"(n), [even] "=w"(even),
                       [odd] "=w"(odd)
                     : [at] "r"(at)
                     : CLOBBERS);
    finish(c, w, even, odd, out);
    w += SCALE;
  }
  return w;
}

void tinyml_depthwise_conv_s8_mve(const tinyml_depthwise_conv_s8_mve_op *op,
                                  const tinyml_span *span, const int8_t *const *rows, int8_t *out,
                                  void *scratch) {
  const tinyml_mve_filters *f = &op->filters;
  const int32_t channels = f->out_channels, stride = op->stride_x, height = op->kernel_height;
  const int32_t next =
      COLUMN * TINYML_DEPTHWISE_MVE_COLUMNS(op->kernel_width, stride, op->dilation_x, op->pixels);
  const int32_t reach = (op->kernel_width - 1) * op->dilation_x + 1;
  const int32_t sources = stride * ((height + ROWS - 1) / ROWS);
  int8_t *const block = scratch;
  const int32_t vectors =
      (op->kernel_width * ((op->kernel_height + ROWS - 1) / ROWS) + WORDS - 1) / WORDS;
  common c = {vdupq_n_s16((int16_t)(f->act_min - f->output_zero_point)),
              vdupq_n_s16((int16_t)(f->act_max - f->output_zero_point)),
              vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)channels),
              f->output_zero_point,
              f->exact,
              PIXELS};
  int8_t padding[LANES];
  source from[TINYML_DEPTHWISE_MVE_STRIDE * TINYML_DEPTHWISE_MVE_HEIGHT / ROWS];
  tinyml_mve_fill(padding, op->input_zero_point, LANES);
  for (int32_t i = 0; i < sources; ++i) {
    for (int32_t j = 0; j < ROWS; ++j) {
      const int32_t ky = i / stride * ROWS + j, inside = ky < height && rows[ky] != NULL;
      from[i].pixel[j] = inside ? stride * channels : 0;
      from[i].channels[j] = inside ? LANES : 0;
    }
  }
  for (int32_t x = 0; x < span->out_width; x += op->pixels, out += op->pixels * channels) {
    const int32_t count = tinyml_min(span->out_width - x, op->pixels);
    const int32_t origin = x * stride - span->pad_left;
    const int32_t wanted = (count - 1) * stride + reach;
    for (int32_t i = 0; i < sources; ++i) {
      const int32_t phase = i % stride, first = origin + phase;
      const int32_t all = tinyml_steps(wanted - phase, stride);
      const tinyml_taps inside = tinyml_clip(first, span->in_width, all, stride);
      const int32_t column = (first + inside.begin * stride) * channels;
      const int8_t *const *row = &rows[i / stride * ROWS];
      int8_t *to = block + i * next;
      if (inside.begin > 0) tinyml_mve_fill(to, op->input_zero_point, COLUMN * inside.begin);
      from[i].to = to + COLUMN * inside.begin;
      from[i].count = inside.end - inside.begin;
      for (int32_t j = 0; j < ROWS; ++j) {
        from[i].rows[j] = from[i].channels[j] == 0 ? padding : row[j] + column;
      }
      to += COLUMN * inside.end;
      if (inside.end < all) {
        tinyml_mve_fill(to, op->input_zero_point, COLUMN * (all - inside.end));
      }
    }
    const int32_t *w = f->blocks, *next_w = w;
    for (int32_t channel = 0; channel < channels; channel += LANES, w = next_w) {
      const int32_t lanes = tinyml_min(channels - channel, LANES);
      int8_t *to = out + channel;
      for (int32_t i = 0; i < sources; ++i) spread(&from[i], height, lanes);
      for (int32_t i = 0; i < count; i += PIXELS, to += PIXELS * channels) {
        c.count = tinyml_min(count - i, PIXELS);
        next_w = filter(&c, w, op->offsets, vectors, block + COLUMN * i, lanes, to);
      }
    }
  }
}
