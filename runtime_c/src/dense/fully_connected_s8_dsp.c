/* Four filters at a time applied to one vector, four elements of each to a step. The vector stays
 * bytes, which needs no scratch: widening it takes two instructions of the twenty of a step. */
#include "tinyml_dsp.h"
#include "tinyml_kernels.h"

/* What the loop over filters does not keep in registers. */
typedef struct {
  int32_t turns; /* of the unrolled loop over whole words of the vector */
  int32_t entry; /* where it is entered */
  const int32_t *scales;
  int32_t scale_bytes;
  int32_t twice; /* twice the zero point and one */
  int32_t more;  /* 1: the last word comes after the turns */
  uint32_t last; /* filled up with zeros */
  int8_t *out;
  int32_t left; /* channels */
} dense_state;

/* clang-format off */
/* A filter's word applied to the elements in r4 and lr. */
#define DOT(weights, sum)                     \
  "sxtb16 r3, " weights "\n"                  \
  "sxtb16 " weights ", " weights ", ror #8\n" \
  "smlad  " sum ", r4, r3, " sum "\n"         \
  "smlad  " sum ", lr, " weights ", " sum "\n"
/* All four filters' words applied to the bytes in r4. */
#define DOT4                       \
  "ldmia  r0!, {r5, r6, r7, r8}\n" \
  "sxtb16 lr, r4, ror #8\n"        \
  "sxtb16 r4, r4\n"                \
  DOT("r5", "r9") DOT("r6", "r10") DOT("r7", "r11") DOT("r8", "r12")
#define STEP "ldr    r4, [r1], #4\n" DOT4
/* clang-format on */

TINYML_DSP_ASSEMBLY void tinyml_dsp_fours(const int32_t *fours TINYML_DSP_ARGUMENT,
                                          const int8_t *x TINYML_DSP_ARGUMENT,
                                          dense_state *state TINYML_DSP_ARGUMENT) {
  __asm__("push   {r1, r2, r4-r11, lr}      \n"
          "1:                               \n"
          "ldmia  r0!, {r9, r10, r11, r12}  \n" /* the sums, which wrap */
          "ldrd   r1, r4, [sp]              \n"
          "ldrd   r2, r3, [r4]              \n"
          "cmp    r2, #0                    \n"
          "beq    8f                        \n"
          TINYML_DSP_TURNS(STEP, "r2", "r3")
          "8:                               \n"
          "ldr    r2, [sp, #4]              \n"
          "ldrd   r3, r4, [r2, #20]         \n"
          "cbz    r3, 9f                    \n"
          DOT4
          "9:                               \n"
          "ldrd   r1, r3, [r2, #8]          \n"
          "ldr    lr, [r2, #16]             \n"
          "ldm    r1, {r4, r5, r6, r7, r8}  \n"
          "add    r1, r1, r3                \n"
          "str    r1, [r2, #8]              \n"
          TINYML_DSP_RESCALE("r9", "r4", "r8", "lr")
          "lsr    r8, r8, #8                \n"
          TINYML_DSP_RESCALE("r10", "r5", "r8", "lr")
          "lsr    r8, r8, #8                \n"
          TINYML_DSP_RESCALE("r11", "r6", "r8", "lr")
          "lsr    r8, r8, #8                \n"
          TINYML_DSP_RESCALE("r12", "r7", "r8", "lr")
          "ldrd   r1, r3, [r2, #28]         \n"
          "strb   r9, [r1], #1              \n"
          "cmp    r3, #2                    \n"
          "blt    7f                        \n"
          "strb   r10, [r1], #1             \n"
          "beq    7f                        \n"
          "strb   r11, [r1], #1             \n"
          "cmp    r3, #4                    \n"
          "blt    7f                        \n"
          "strb   r12, [r1], #1             \n"
          "subs   r3, r3, #4                \n"
          "strd   r1, r3, [r2, #28]         \n"
          "bne    1b                        \n"
          "7:                               \n"
          "pop    {r1, r2, r4-r11, pc}      \n");
}

/* A layer with scales, or a zero point of its weights, that the above does not serve. */
static void exact(const tinyml_fully_connected_s8_dsp_op *op, const int8_t *x, int8_t *out) {
  const int32_t words = 4 * tinyml_dsp_steps(op->in_features);
  for (int32_t channel = 0; channel < op->out.channels; ++channel) {
    const int32_t in_four = channel & 3;
    const int32_t *w = op->fours + (channel >> 2) * (words + 4) + in_four;
    const int32_t *scale = op->scales + (channel >> 2) * op->scale_step;
    uint32_t sum = (uint32_t)*w;
    for (int32_t i = 0; i < op->in_features; ++i) {
      if ((i & 3) == 0) w += 4;
      sum += (uint32_t)(x[i] * ((int8_t)(*w >> 8 * (i & 3)) - op->weights_zero_point));
    }
    out[channel] = tinyml_dsp_exact(&op->out, sum, scale[in_four], scale[4] >> 8 * in_four);
  }
}

void tinyml_fully_connected_s8_dsp(const tinyml_fully_connected_s8_dsp_op *op,
                                   const tinyml_span *span, const int8_t *const *rows,
                                   int8_t *out) {
  const int32_t words = op->in_features / 4, rest = op->in_features % 4;
  const int8_t *in = rows[0];
  (void)span;
  if (op->out.exact) {
    exact(op, in, out);
    return;
  }
  dense_state state = {
      .turns = (words + 3) / 4,
      .entry = words % 4,
      .scales = op->scales,
      .scale_bytes = 4 * op->scale_step,
      .twice = 2 * op->out.zero_point + 1,
      .more = rest > 0,
      .last = tinyml_dsp_load_rest(in + 4 * words, rest),
      .out = out,
      .left = op->out.channels,
  };
  tinyml_dsp_fours(op->fours, in, &state);
  tinyml_dsp_clamp(out, op->out.channels, op->out.act_min, op->out.act_max);
}
