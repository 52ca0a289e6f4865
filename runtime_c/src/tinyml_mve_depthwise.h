/* Depthwise convolution of 3x3 with Helium: what spreads input columns over the scratch, and what
 * computes a number of output pixels from them.
 *
 * Once spread, one word holds the three rows of a column and channel: VST4 does that for sixteen
 * channels at once. Then channel by channel a gathering load takes four such words, neighbouring
 * columns, and VMLADAV sums their products with as many weights. The sums of four or eight pixels
 * of a channel share all that follows.
 *
 * This is done by naked functions: they need every register, and keep some from call to call. */
#ifndef TINYML_MVE_DEPTHWISE_H
#define TINYML_MVE_DEPTHWISE_H

#include "tinyml_mve.h"

enum {
  LANES = 16, /* channels spread together */
  ROWS = 3,
  WORD = 4,
  COLUMN = LANES * WORD, /* bytes of the scratch */
  FAR = 8 * COLUMN,
  FOUR = 4, /* pixels computed together */
  EIGHT = 8
};

#define ASSEMBLY __attribute__((naked, noinline)) static
#define ARGUMENT __attribute__((unused)) /* but in a register */

/* The columns inside the map, in the order that the assembly knows: where they begin in each row;
 * how far the next channels are from there, and the next column. What is read in place of a row of
 * padding stays where it is. */
typedef struct {
  const int8_t *rows[WORD];
  int32_t channels[WORD];
  int32_t pixel[ROWS];
  int8_t *to;
  int32_t columns;
  void (*spread)(void);
} source;

/* clang-format off */

/* Column by column, of sixteen channels or, with predicates, fewer. The fourth byte of each word
 * meets weights of zero, whatever it is. */
#define COLUMNS(vpst, t)               \
  "wls lr, lr, 2f\n"                   \
  "1:\n"                               \
  vpst                                 \
  "vldrb" t ".u8 q0, [r2]\n"           \
  "vldrb" t ".u8 q1, [r4]\n"           \
  "vldrb" t ".u8 q2, [r6]\n"           \
  "vst40.8 {q0, q1, q2, q3}, [r12]\n"  \
  "add r2, r2, r8\n"                   \
  "vst41.8 {q0, q1, q2, q3}, [r12]\n"  \
  "add r4, r4, r10\n"                  \
  "vst42.8 {q0, q1, q2, q3}, [r12]\n"  \
  "add r6, r6, r11\n"                  \
  "vst43.8 {q0, q1, q2, q3}, [r12]!\n" \
  "le lr, 1b\n"                        \
  "2:\n"                               \
  "bx r7\n"

/* For assembly to call: spreads the columns of the source at r12, of sixteen channels or of the r1
 * that are left, and moves on to the next channels. It leaves r0, r1, r3, r5, r9 and the vectors
 * from q4 on as they are. */
ASSEMBLY void spread(void) {
  __asm__ volatile(
      "mov r7, lr\n"
      "vldrw.u32 q0, [r12]\n"
      "vldrw.u32 q1, [r12, #16]\n"
      "ldm r12, {r2, r4, r6}\n"
      "ldrd r8, r10, [r12, #32]\n"
      "vadd.i32 q0, q0, q1\n"
      "ldr r11, [r12, #40]\n"
      "vstrw.32 q0, [r12]\n"
      "ldr lr, [r12, #48]\n"
      "ldr r12, [r12, #44]\n"
      "cmp r1, #16\n"
      "blt 3f\n"
      COLUMNS("", "")
      "3:\n"
      "vctp.8 r1\n"
      COLUMNS("vpsttt\n", "t"));
}

/* The same for C to call. */
ASSEMBLY void spread_columns(ARGUMENT source *from, ARGUMENT int32_t left) {
  __asm__ volatile(
      "push {r4-r11, lr}\n"
      "mov r12, r0\n"
      "ldr r2, [r12, #52]\n"
      "blx r2\n"
      "pop {r4-r11, pc}\n");
}
/* clang-format on */

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
  source *from;            /* of a unit that spreads all its channels itself, else NULL */
  void (*run)(struct unit *u, int32_t channels);
  int32_t offset; /* of the bytes of the first pixel */
} unit;

/* clang-format off */

/* Windows at a stride of 1: the four columns of a vector are what two pixels see. The weights of
 * the second are those of the first, a word later; a zero stands before them, and one behind. */
#define WEIGHTS_1            \
  "vldrw.u32 q1, [r3], #4\n" \
  "vldrw.u32 q0, [r3], #16\n"

#define TWO_1(columns)               \
  "vmladav.s8 r2, " columns ", q0\n" \
  "vmladav.s8 r4, " columns ", q1\n"

#define FOUR_SUMS_1(first, second)  \
  TWO_1(first)                      \
  "vmladav.s8 r6, " second ", q0\n" \
  "vmladav.s8 r8, " second ", q1\n"

/* Four sums become a vector, or one or two, each of them twice. */
#define GATHER(q)                     \
  "vmov " q "[2], " q "[0], r2, r6\n" \
  "vmov " q "[3], " q "[1], r4, r8\n"
#define GATHER_ONE(q) "vdup.32 " q ", r2\n"
#define GATHER_TWO(q)                 \
  "vmov " q "[2], " q "[0], r2, r2\n" \
  "vmov " q "[3], " q "[1], r4, r4\n"

#define FOUR_AT_1(at, weights)        \
  "vldrw.u32 q2, [" at ", #4]!\n"     \
  weights                             \
  "vldrw.u32 q3, [" at ", #128]\n"    \
  FOUR_SUMS_1("q2", "q3")             \
  GATHER("q2")

#define FOUR_1 FOUR_AT_1("q5", WEIGHTS_1)
#define NEXT_FOUR_1 FOUR_AT_1("q6", "")

#define FIVE_1                     \
  FOUR_1                           \
  "vldrw.u32 q3, [q5, #256]\n"     \
  "vmladav.s8 r2, q3, q0\n"        \
  GATHER_ONE("q3")

#define SIX_1                  \
  FOUR_1                       \
  "vldrw.u32 q3, [q5, #256]\n" \
  TWO_1("q3")                  \
  GATHER_TWO("q3")

#define EIGHT_AT_1(at, weights)    \
  FOUR_AT_1(at, weights)           \
  "vldrw.u32 q3, [" at ", #256]\n" \
  TWO_1("q3")                      \
  "vldrw.u32 q3, [" at ", #384]\n" \
  "vmladav.s8 r6, q3, q0\n"        \
  "vmladav.s8 r8, q3, q1\n"        \
  GATHER("q3")

#define EIGHT_1 EIGHT_AT_1("q5", WEIGHTS_1)
#define NEXT_EIGHT_1(at) EIGHT_AT_1(at, "")

/* Windows at a stride of 2: each pixel has a vector of its own, of which the first word meets a
 * weight of zero. */
#define WEIGHTS_2 "vldrw.u32 q0, [r3], #20\n"

#define TWO_2(at)                  \
  "vldrw.u32 q1, [" at ", #4]!\n"  \
  "vldrw.u32 q3, [" at ", #128]\n" \
  "vmladav.s8 r2, q1, q0\n"        \
  "vmladav.s8 r4, q3, q0\n"

#define THREE_2(at)                \
  TWO_2(at)                        \
  "vldrw.u32 q1, [" at ", #256]\n" \
  "vmladav.s8 r6, q1, q0\n"

#define FOUR_SUMS_2(at)            \
  THREE_2(at)                      \
  "vldrw.u32 q3, [" at ", #384]\n" \
  "vmladav.s8 r8, q3, q0\n"

#define FOUR_AT_2(at) FOUR_SUMS_2(at) GATHER("q2")
#define FOUR_2 WEIGHTS_2 FOUR_AT_2("q5")
#define SIX_2 FOUR_2 TWO_2("q6") GATHER_TWO("q3")
#define EIGHT_2 FOUR_2 FOUR_SUMS_2("q6") GATHER("q3")
#define NEXT_FOUR_2 FOUR_AT_2("q4")

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

/* Saturates where the zero point and a byte cannot tell. */
#define NARROW_FOUR "vqmovnb.s32 q2, q2\n"
#define NARROW_EIGHT NARROW_FOUR "vqmovnt.s32 q2, q3\n"

/* No limits but those of a byte. */
#define SATURATE             \
  "vqadd.s16 q2, q2, r7\n"   \
  "vqmovnb.s16 q2, q2\n"

#define CLAMP                 \
  "ldr r2, [r0, #68]\n"       \
  "vldrw.u32 q0, [r2]\n"      \
  "vldrw.u32 q1, [r2, #16]\n" \
  "vmax.s16 q2, q2, q0\n"     \
  "vmin.s16 q2, q2, q1\n"     \
  "vadd.i16 q2, q2, r7\n"

/* Sums become bytes, and go where they belong, from lanes of so many bits. */
#define STORE_FOUR "vpst\nvstrbt.32 q2, [r5, q7]\n"
#define STORE_EIGHT "vpst\nvstrbt.16 q2, [r5, q7]\n"
#define FINISH_FOUR RESCALE("q2") NARROW_FOUR SATURATE STORE_FOUR
#define FINISH_FOUR_EXACTLY RESCALE_EXACT("q2") NARROW_FOUR CLAMP STORE_FOUR
#define RESCALE_EIGHT RESCALE("q2") RESCALE("q3") NARROW_EIGHT SATURATE
#define FINISH_EIGHT RESCALE_EIGHT STORE_EIGHT
#define FINISH_ALL(to) RESCALE_EIGHT "vstrb.16 q2, [" to ", q7]\n"
#define FINISH_NEXT_FOUR RESCALE("q2") NARROW_FOUR SATURATE "vpst\nvstrbt.16 q2, [r9, q7]\nadd r9, r9, #1\n"
#define FINISH_EIGHT_EXACTLY \
  RESCALE_EXACT("q2") RESCALE_EXACT("q3") NARROW_EIGHT CLAMP STORE_EIGHT

/* A function that computes a unit for so many channels, sixteen or less if it does not spread. q4
 * is as far from q6 as that is from q5. */
#define RUN(name, pixels)                                                   \
  ASSEMBLY void name(ARGUMENT unit *u, ARGUMENT int32_t channels) {         \
    __asm__ volatile("push {r4-r11, lr}\n"                                  \
                     "vpush {d8-d15}\n"                                     \
                     "ldm r0, {r3, r5, r9}\n"                               \
                     "vldrw.u32 q7, [r0, #48]\n"                            \
                     "3:\n"                                                 \
                     "ldr r12, [r0, #72]\n"                                 \
                     "cmp r12, #0\n"                                        \
                     "beq 4f\n"                                             \
                     "ldr r2, [r12, #52]\n"                                 \
                     "blx r2\n"                                             \
                     "4:\n"                                                 \
                     "ldr r2, [r0, #64]\n"                                  \
                     "vldrw.u32 q5, [r0, #16]\n"                            \
                     "vldrw.u32 q6, [r0, #32]\n"                            \
                     "vmsr p0, r2\n"                                        \
                     "ldr r7, [r0, #12]\n"                                  \
                     "mov r4, #512\n"                                       \
                     "vadd.i32 q4, q6, r4\n"                                \
                     "mov lr, r1\n"                                         \
                     "cmp r1, #16\n"                                        \
                     "it gt\n"                                              \
                     "movgt lr, #16\n"                                      \
                     "dls lr, lr\n"                                         \
                     "1:\n"                                                 \
                     "ldm r3!, {r10, r11, r12}\n"                           \
                     pixels                                                 \
                     "add r5, r5, #1\n"                                     \
                     "le lr, 1b\n"                                          \
                     "subs r1, r1, #16\n"                                   \
                     "bgt 3b\n"                                             \
                     "stm r0, {r3, r5, r9}\n"                               \
                     "vpop {d8-d15}\n"                                      \
                     "pop {r4-r11, pc}\n");                                 \
  }
/* clang-format on */

RUN(four_1, FOUR_1 FINISH_FOUR)
RUN(four_1_exactly, FOUR_1 FINISH_FOUR_EXACTLY)
RUN(five_1, FIVE_1 FINISH_ALL("r5"))
RUN(six_1, SIX_1 FINISH_ALL("r5"))
RUN(eight_1, EIGHT_1 FINISH_EIGHT)
RUN(eight_1_exactly, EIGHT_1 FINISH_EIGHT_EXACTLY)
RUN(twelve_1, EIGHT_1 FINISH_ALL("r5") NEXT_FOUR_1 FINISH_NEXT_FOUR)
RUN(sixteen_1, EIGHT_1 FINISH_ALL("r5") NEXT_EIGHT_1("q6") FINISH_ALL("r9") "add r9, r9, #1\n")
RUN(twenty_four_1,
    EIGHT_1 FINISH_ALL("r5") NEXT_EIGHT_1("q6") FINISH_ALL("r9")
        NEXT_EIGHT_1("q4") "rsb r2, r5, r9, lsl #1\n" /* as far from r9 as that is from r5 */
    FINISH_ALL("r2") "add r9, r9, #1\n")
RUN(three_2, WEIGHTS_2 THREE_2("q5") GATHER("q2") FINISH_FOUR)
RUN(four_2, FOUR_2 FINISH_FOUR)
RUN(four_2_exactly, FOUR_2 FINISH_FOUR_EXACTLY)
RUN(six_2, SIX_2 FINISH_ALL("r5"))
RUN(eight_2, EIGHT_2 FINISH_EIGHT)
RUN(eight_2_exactly, EIGHT_2 FINISH_EIGHT_EXACTLY)
RUN(twelve_2, EIGHT_2 FINISH_ALL("r5") NEXT_FOUR_2 FINISH_NEXT_FOUR)

typedef void runner(unit *, int32_t);

/* What computes one to eight pixels, by stride; how where the rescale must be exact, or the range
 * is not all bytes: four or eight; and twelve. */
static runner *const up_to_eight[2][EIGHT] = {
    {four_1, four_1, four_1, four_1, five_1, six_1, eight_1, eight_1},
    {three_2, three_2, three_2, four_2, eight_2, six_2, eight_2, eight_2},
};
static runner *const exactly[2][2] = {{four_1_exactly, eight_1_exactly},
                                      {four_2_exactly, eight_2_exactly}};
static runner *const twelve[2] = {twelve_1, twelve_2};

#endif
