#include "tinyml_dsp.h"
#include "tinyml_kernels.h"

/* One sum. The operand of the larger scale, times 2^20, is halved, which is exact; that of the
 * smaller is rescaled as TINYML_DSP_RESCALE does, but for the zero point and the saturation. */
/* clang-format off */
#define ADD                                    \
  "ldrsb  %[a], [%[larger]], #1            \n" \
  "ldrsb  %[b], [%[smaller]], #1           \n" \
  "rsb    %[a], %[a0], %[a], lsl #19       \n" \
  "rsb    %[b], %[b0], %[b], lsl #20       \n" \
  "smmlar %[b], %[b], %[bm], %[b]          \n" \
  "add    %[b], %[b], %[b], asr #31        \n" \
  "asr    %[b], %[b], %[br]                \n" \
  "add    %[b], %[b], #1                   \n" \
  "add    %[a], %[a], %[b], asr #1         \n" \
  TINYML_DSP_RESCALE("%[a]", "%[m]", "%[r]", "%[twice]") \
  "strb   %[a], [%[to]], #1                \n"
/* clang-format on */

#define ASM(code)                                                                                 \
  __asm__ volatile(                                                                               \
      code                                                                                        \
      : [larger] "+r"(larger), [smaller] "+r"(smaller), [to] "+r"(to), [a] "=&r"(a), [b] "=&r"(b) \
      : [a0] "r"(op.larger_zero), [b0] "r"(op.smaller_zero), [bm] "r"(op.smaller.multiplier),     \
        [br] "r"(op.smaller.right), [m] "r"(op.output.multiplier), [r] "r"(op.output.right),      \
        [twice] "r"(twice)                                                                        \
      : "memory")

void tinyml_add_s8_dsp(const tinyml_add_s8_dsp_op *add, const tinyml_span *span,
                       const int8_t *const *rows, int8_t *out) {
  const tinyml_add_s8_dsp_op op = *add; /* a copy that the stores cannot touch */
  const int32_t twice = 2 * op.output_zero_point + 1;
  const int32_t n = span->out_width * op.channels;
  const int8_t *larger = rows[op.larger], *smaller = rows[1 - op.larger];
  int8_t *to = out;
  int32_t a, b;
  for (int32_t i = n >> 2; i > 0; --i) ASM(ADD ADD ADD ADD);
  for (int32_t i = n & 3; i > 0; --i) ASM(ADD);
  tinyml_dsp_clamp(out, n, op.act_min, op.act_max);
}
