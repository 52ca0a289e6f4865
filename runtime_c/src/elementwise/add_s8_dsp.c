#include "tinyml_dsp.h"
#include "tinyml_kernels.h"

/* What the loop needs in registers, in their order. */
typedef struct {
  int32_t larger_zero;
  int32_t smaller_zero;
  int32_t smaller_multiplier;
  int32_t smaller_right;
  int32_t multiplier;
  int32_t right;
  int32_t twice; /* twice the output's zero point and one */
  int32_t n;     /* elements */
} add_state;

/* clang-format off */
/* One sum. The operand of the larger scale, times 2^20, is halved, which is exact; that of the
 * smaller is rescaled as TINYML_DSP_RESCALE does, but for the zero point and the saturation. */
#define ADD                          \
  "ldrsb  r11, [r0], #1          \n" \
  "ldrsb  r12, [r1], #1          \n" \
  "rsb    r11, r3, r11, lsl #19  \n" \
  "rsb    r12, r4, r12, lsl #20  \n" \
  "smmlar r12, r12, r5, r12      \n" \
  "add    r12, r12, r12, asr #31 \n" \
  "asr    r12, r12, r6           \n" \
  "add    r12, r12, #1           \n" \
  "add    r11, r11, r12, asr #1  \n" \
  TINYML_DSP_RESCALE("r11", "r7", "r8", "r9") \
  "strb   r11, [r2], #1          \n"
/* clang-format on */

TINYML_DSP_ASSEMBLY void tinyml_dsp_add(const int8_t *larger TINYML_DSP_ARGUMENT,
                                        const int8_t *smaller TINYML_DSP_ARGUMENT,
                                        int8_t *out TINYML_DSP_ARGUMENT,
                                        const add_state *state TINYML_DSP_ARGUMENT) {
  __asm__(
      "push   {r4-r11, lr}           \n"
      "ldm    r3, {r3-r10}           \n"
      "lsrs   lr, r10, #2            \n"
      "beq    2f                     \n"
      "1:                            \n" ADD ADD ADD ADD
      "subs   lr, lr, #1             \n"
      "bne    1b                     \n"
      "2:                            \n"
      "ands   r10, r10, #3           \n"
      "beq    4f                     \n"
      "3:                            \n" ADD
      "subs   r10, r10, #1           \n"
      "bne    3b                     \n"
      "4:                            \n"
      "pop    {r4-r11, pc}           \n");
}

void tinyml_add_s8_dsp(const tinyml_add_s8_dsp_op *op, const tinyml_span *span,
                       const int8_t *const *rows, int8_t *out) {
  const add_state state = {
      .larger_zero = op->larger_zero,
      .smaller_zero = op->smaller_zero,
      .smaller_multiplier = op->smaller.multiplier,
      .smaller_right = op->smaller.right,
      .multiplier = op->output.multiplier,
      .right = op->output.right,
      .twice = 2 * op->output_zero_point + 1,
      .n = span->out_width * op->channels,
  };
  tinyml_dsp_add(rows[op->larger], rows[1 - op->larger], out, &state);
  tinyml_dsp_clamp(out, state.n, op->act_min, op->act_max);
}
