/* Some output pixels of sixteen channels at a time. The input columns that they see are first
 * spread over the scratch, so that one word holds the three rows of a column and channel: VST4 does
 * that for sixteen channels at once. Then channel by channel a gathering load takes four such
 * words, neighbouring columns, and VMLADAV sums their products with as many weights. The sums of
 * eight pixels of a channel, or of four, share all that follows. */
#include "tinyml_kernels.h"
#include "tinyml_mve.h"
#include "tinyml_window.h"

enum {
  LANES = 16, /* channels spread together */
  ROWS = 3,
  WORD = 4,
  COLUMN = LANES * WORD, /* bytes of the scratch */
  FAR = 8 * COLUMN,
  FOUR = 4, /* pixels computed together */
  EIGHT = 8,
  UNITS = 3 /* of 24 pixels at most */
};

/* clang-format off */

/* Loads where the rows are, and moves these on to the next channels; then column by column, of
 * sixteen channels or, with predicates, fewer. The fourth byte of each word meets weights of zero,
 * whatever it is. */
#define SPREAD(vpst, t)               \
  "vldrw.u32 q0, [%[from]]\n"         \
  "vldrw.u32 q1, [%[from], #16]\n"    \
  "ldm %[from], {r0, r1, r2}\n"       \
  "ldrd r4, r5, [%[from], #32]\n"     \
  "vadd.i32 q0, q0, q1\n"             \
  "ldrd r6, r8, [%[from], #40]\n"     \
  "ldr lr, [%[from], #48]\n"          \
  "vstrw.32 q0, [%[from]]\n"          \
  "wls lr, lr, 2f\n"                  \
  "1:\n"                              \
  vpst                                \
  "vldrb" t ".u8 q0, [r0]\n"          \
  "vldrb" t ".u8 q1, [r1]\n"          \
  "vldrb" t ".u8 q2, [r2]\n"          \
  "vst40.8 {q0, q1, q2, q3}, [r8]\n"  \
  "add r0, r0, r4\n"                  \
  "vst41.8 {q0, q1, q2, q3}, [r8]\n"  \
  "add r1, r1, r5\n"                  \
  "vst42.8 {q0, q1, q2, q3}, [r8]\n"  \
  "add r2, r2, r6\n"                  \
  "vst43.8 {q0, q1, q2, q3}, [r8]!\n" \
  "le lr, 1b\n"                       \
  "2:\n"

#define SPREAD_ASM(code)                                                                     \
  __asm__ volatile(code                                                                      \
                   :                                                                         \
                   : [from] "r"(from), [lanes] "r"(lanes)                                    \
                   : "r0", "r1", "r2", "r4", "r5", "r6", "r8", "lr", "q0", "q1", "q2", "q3", \
                     "cc", "memory")
/* clang-format on */

/* The columns inside the map, in the order that the assembly knows: where they begin in each row;
 * how far the next channels are from there, and the next column. What is read in place of a row of
 * padding stays where it is. */
typedef struct {
  const int8_t *rows[WORD];
  int32_t channels[WORD];
  int32_t pixel[ROWS];
  int8_t *to;
  int32_t columns;
} source;

static __attribute__((noinline)) void spread(source *from, int32_t lanes) {
  if (lanes == LANES) {
    SPREAD_ASM(SPREAD("", ""));
  } else {
    SPREAD_ASM("vctp.8 %[lanes]\n" SPREAD("vpsttt\n", "t"));
  }
}

/* Some pixels, in the order that the assembly knows. What computes them, channel by channel, moves
 * on `w` and where their bytes go. */
typedef struct unit {
  const int32_t *w;
  int8_t *to;
  int8_t *second; /* of the ninth pixel */
  int32_t zero_point;
  uint32x4_t at;           /* the words of the first pixel, less one */
  uint32x4_t far;          /* those FAR further */
  uint16x8_t places;       /* of the bytes */
  int32_t stored;          /* the predicate of the lanes that are */
  const int16x8_t *limits; /* before the zero point is added */
  void (*run)(struct unit *u, int32_t lanes);
  int32_t offset; /* of the bytes of the first pixel */
} unit;

/* clang-format off */

/* Windows at a stride of 1: the four columns of a vector are what two pixels see. The weights of
 * the second are those of the first, a word later; a zero stands before them, and one behind. */
#define WEIGHTS_1            \
  "vldrw.u32 q1, [r3], #4\n" \
  "vldrw.u32 q0, [r3], #16\n"

#define SUMS_1(first, second)       \
  "vmladav.s8 r2, " first ", q0\n"  \
  "vmladav.s8 r4, " first ", q1\n"  \
  "vmladav.s8 r6, " second ", q0\n" \
  "vmladav.s8 r8, " second ", q1\n"

/* Four sums become a vector. */
#define GATHER(q)                     \
  "vmov " q "[2], " q "[0], r2, r6\n" \
  "vmov " q "[3], " q "[1], r4, r8\n"

#define FOUR_1                 \
  "vldrw.u32 q2, [q5, #4]!\n"  \
  WEIGHTS_1                    \
  "vldrw.u32 q3, [q5, #128]\n" \
  SUMS_1("q2", "q3")           \
  GATHER("q2")

#define EIGHT_AT_1(at, weights)    \
  "vldrw.u32 q2, [" at ", #4]!\n"  \
  weights                          \
  "vldrw.u32 q3, [" at ", #128]\n" \
  SUMS_1("q2", "q3")               \
  "vldrw.u32 q3, [" at ", #256]\n" \
  "vldrw.u32 q4, [" at ", #384]\n" \
  GATHER("q2")                     \
  SUMS_1("q3", "q4")               \
  GATHER("q3")

#define EIGHT_1 EIGHT_AT_1("q5", WEIGHTS_1)
#define NINTH_1 EIGHT_AT_1("q6", "")

/* Windows at a stride of 2: each pixel has a vector of its own, of which the first word meets a
 * weight of zero. */
#define WEIGHTS_2 "vldrw.u32 q0, [r3], #20\n"

#define SUMS_2(at)                 \
  "vldrw.u32 q1, [" at ", #4]!\n"  \
  "vldrw.u32 q3, [" at ", #128]\n" \
  "vmladav.s8 r2, q1, q0\n"        \
  "vldrw.u32 q1, [" at ", #256]\n" \
  "vmladav.s8 r4, q3, q0\n"        \
  "vldrw.u32 q3, [" at ", #384]\n" \
  "vmladav.s8 r6, q1, q0\n"        \
  "vmladav.s8 r8, q3, q0\n"

#define FOUR_2 WEIGHTS_2 SUMS_2("q5") GATHER("q2")
#define EIGHT_2 WEIGHTS_2 SUMS_2("q5") GATHER("q2") SUMS_2("q6") GATHER("q3")

/* bias r10, multiplier r11, shifts r12; this one looks at the lowest byte only */
#define RESCALE(q)                   \
  "vadd.i32 " q ", " q ", r10\n"     \
  "vqrdmulh.s32 " q ", " q ", r11\n" \
  "vrshl.s32 " q ", r12\n"

/* As tinyml_mve_rescale_exact: the second byte is the shift to the left, the third whether there is
 * one to the right. */
#define RESCALE_EXACT(q)             \
  "vadd.i32 " q ", " q ", r10\n"     \
  "lsr r2, r12, #8\n"                \
  "lsr r4, r12, #16\n"               \
  "vshl.s32 " q ", r2\n"             \
  "vqrdmulh.s32 " q ", " q ", r11\n" \
  "vshr.s32 q0, " q ", #31\n"        \
  "vmla.s32 " q ", q0, r4\n"         \
  "vrshl.s32 " q ", r12\n"

#define NARROW_FOUR "vqmovnb.s32 q2, q2\n"
#define NARROW_EIGHT NARROW_FOUR "vqmovnt.s32 q2, q3\n"

/* No limits but those of a byte. */
#define SATURATE             \
  "vqadd.s16 q2, q2, %[x]\n" \
  "vqmovnb.s16 q2, q2\n"

#define CLAMP                 \
  "ldr r2, [%[u], #68]\n"     \
  "vldrw.u32 q0, [r2]\n"      \
  "vldrw.u32 q1, [r2, #16]\n" \
  "vmax.s16 q2, q2, q0\n"     \
  "vmin.s16 q2, q2, q1\n"     \
  "vadd.i16 q2, q2, %[x]\n"

/* Sums become bytes, and go where they belong, from lanes of so many bits. */
#define FINISH_FOUR RESCALE("q2") NARROW_FOUR SATURATE "vpst\nvstrbt.32 q2, [r5, q7]\n"
#define FINISH_FOUR_EXACTLY RESCALE_EXACT("q2") NARROW_FOUR CLAMP "vpst\nvstrbt.32 q2, [r5, q7]\n"
#define RESCALE_EIGHT RESCALE("q2") RESCALE("q3") NARROW_EIGHT SATURATE
#define FINISH_ALL(to) RESCALE_EIGHT "vstrb.16 q2, [" to ", q7]\n"
#define FINISH_EIGHT RESCALE_EIGHT "vpst\nvstrbt.16 q2, [r5, q7]\n"
#define FINISH_EIGHT_EXACTLY \
  RESCALE_EXACT("q2") RESCALE_EXACT("q3") NARROW_EIGHT CLAMP "vpst\nvstrbt.16 q2, [r5, q7]\n"

/* A function that computes a unit for so many channels; x is their number, then the zero point. */
#define RUN(name, pixels)                                                                     \
  static void name(unit *u, int32_t lanes) {                                                  \
    __asm__ volatile("dls lr, %[x]\n"                                                         \
                     "ldr r2, [%[u], #64]\n"                                                  \
                     "ldm %[u], {r3, r5, r9}\n"                                               \
                     "ldr %[x], [%[u], #12]\n"                                                \
                     "vmsr p0, r2\n"                                                          \
                     "vldrw.u32 q5, [%[u], #16]\n"                                            \
                     "vldrw.u32 q6, [%[u], #32]\n"                                            \
                     "vldrw.u32 q7, [%[u], #48]\n"                                            \
                     "1:\n"                                                                   \
                     "ldm r3!, {r10, r11, r12}\n"                                             \
                     pixels                                                                   \
                     "add r5, r5, #1\n"                                                       \
                     "le lr, 1b\n"                                                            \
                     "stm %[u], {r3, r5, r9}\n"                                               \
                     : [x] "+r"(lanes)                                                        \
                     : [u] "r"(u)                                                             \
                     : "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12",         \
                       "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "cc", "memory"); \
  }
/* clang-format on */

RUN(four_1, FOUR_1 FINISH_FOUR)
RUN(four_1_exactly, FOUR_1 FINISH_FOUR_EXACTLY)
RUN(eight_1, EIGHT_1 FINISH_EIGHT)
RUN(eight_1_exactly, EIGHT_1 FINISH_EIGHT_EXACTLY)
RUN(sixteen_1, EIGHT_1 FINISH_ALL("r5") NINTH_1 FINISH_ALL("r9") "add r9, r9, #1\n")
RUN(four_2, FOUR_2 FINISH_FOUR)
RUN(four_2_exactly, FOUR_2 FINISH_FOUR_EXACTLY)
RUN(eight_2, EIGHT_2 FINISH_EIGHT)
RUN(eight_2_exactly, EIGHT_2 FINISH_EIGHT_EXACTLY)

/* By stride and whether the rescale must be exact, or the range is not all bytes */
static void (*const run_four[2][2])(unit *, int32_t) = {{four_1, four_1_exactly},
                                                        {four_2, four_2_exactly}};
static void (*const run_eight[2][2])(unit *, int32_t) = {{eight_1, eight_1_exactly},
                                                         {eight_2, eight_2_exactly}};

/* Predicates: a lane of a word is that of one pixel; the lanes of halfwords are those of pixels 0,
 * 4, 1, 5, 2, 6, 3 and 7. */
static inline int32_t first_words(int32_t count) { return (1 << WORD * count) - 1; }

static inline int32_t first_halves(int32_t count) {
  return 0x3333 | (0xCCCC & first_words(count - FOUR));
}

/* The units of `count` pixels; their number. `at` is where their words are, less one; `limits` is
 * NULL where the short rescale will do, and all bytes are in the range of the output. */
static int32_t units_of(unit *u, uint32x4_t at, int32_t count, int32_t stride,
                        const tinyml_mve_filters *f, const int16x8_t *limits) {
  static const uint16_t order[EIGHT] = {0, 4, 1, 5, 2, 6, 3, 7};
  const uint16_t channels = (uint16_t)f->out_channels;
  int32_t i = 0, n = 0;
  for (; i < count; ++n, ++u) {
    const int32_t left = count - i;
    u->zero_point = f->output_zero_point;
    u->limits = limits;
    u->offset = i * channels;
    u->at = vaddq_n_u32(at, (uint32_t)(i * stride * COLUMN));
    i += EIGHT;
    if (left <= FOUR) {
      u->places = vreinterpretq_u16_u32(vmulq_n_u32(vidupq_n_u32(0, 1), channels));
      u->stored = first_words(left);
      u->run = run_four[stride - 1][limits != NULL];
      continue;
    }
    u->far = vaddq_n_u32(u->at, FAR);
    u->places = vmulq_n_u16(vldrhq_u16(order), channels);
    u->stored = first_halves(tinyml_min(left, EIGHT));
    u->run = run_eight[stride - 1][limits != NULL];
    if (stride == 1 && limits == NULL && left >= 2 * EIGHT) {
      u->run = sixteen_1;
      i += EIGHT;
    }
  }
  return n;
}

void tinyml_depthwise_conv_3x3_s8_mve(const tinyml_depthwise_conv_3x3_s8_mve_op *op,
                                      const tinyml_span *span, const int8_t *const *rows,
                                      int8_t *out, void *scratch) {
  static const int32_t columns[2][WORD] = {{0, COLUMN, 2 * COLUMN, 3 * COLUMN},
                                           {0, 0, COLUMN, 2 * COLUMN}};
  const tinyml_mve_filters *f = &op->filters;
  const int32_t channels = f->out_channels, stride = op->stride_x;
  const int16x8_t limits[2] = {vdupq_n_s16((int16_t)(f->act_min - f->output_zero_point)),
                               vdupq_n_s16((int16_t)(f->act_max - f->output_zero_point))};
  const int plain = !f->exact && f->act_min == INT8_MIN && f->act_max == INT8_MAX;
  const uint32x4_t at = vaddq_n_u32(vreinterpretq_u32_s32(vldrwq_s32(columns[stride - 1])),
                                    (uint32_t)(uintptr_t)scratch - WORD);
  int32_t units = 0, before = 0;
  unit all[UNITS];
  int8_t padding[LANES];
  source from;
  vst1q_s8(padding, vdupq_n_s8((int8_t)op->input_zero_point));
  for (int32_t i = 0; i < ROWS; ++i) {
    from.channels[i] = rows[i] == NULL ? 0 : LANES;
    from.pixel[i] = rows[i] == NULL ? 0 : channels;
  }
  for (int32_t x = 0; x < span->out_width; x += op->pixels, out += op->pixels * channels) {
    const int32_t count = tinyml_min(span->out_width - x, op->pixels);
    const int32_t origin = x * stride - span->pad_left, wanted = (count - 1) * stride + ROWS;
    const tinyml_taps inside = tinyml_clip(origin, span->in_width, wanted, 1);
    int8_t *const begin = (int8_t *)scratch + COLUMN * inside.begin;
    int8_t *const end = (int8_t *)scratch + COLUMN * inside.end;
    if (inside.begin > 0) {
      tinyml_mve_fill(scratch, op->input_zero_point, COLUMN * inside.begin);
    }
    if (inside.end < wanted) {
      tinyml_mve_fill(end, op->input_zero_point, COLUMN * (wanted - inside.end));
    }
    for (int32_t i = 0; i < ROWS; ++i) {
      from.rows[i] = rows[i] == NULL ? padding : rows[i] + (origin + inside.begin) * channels;
    }
    from.to = begin;
    from.columns = inside.end - inside.begin;
    if (count != before) {
      units = units_of(all, at, count, stride, f, plain ? NULL : limits);
      before = count;
    }
    for (unit *u = all; u < all + units; ++u) {
      u->w = f->blocks;
      u->to = out + u->offset;
      u->second = u->to + EIGHT * channels;
    }
    for (int32_t left = channels; left > 0; left -= LANES) {
      const int32_t lanes = tinyml_min(left, LANES);
      spread(&from, lanes);
      for (unit *u = all; u < all + units; ++u) u->run(u, lanes);
    }
  }
}
