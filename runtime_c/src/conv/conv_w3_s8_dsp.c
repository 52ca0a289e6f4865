/* Windows three pixels wide, one pixel apart: those of two neighbouring pixels share two of their
 * four columns. Of four channels each, the four columns follow one another, widened, so that both
 * windows find what they share in the registers, and every element is widened only once. */
#include "tinyml_dsp.h"
#include "tinyml_kernels.h"

/* Words from four channels of all columns to the next four. */
#define GROUP_WORDS 8

/* Widens so many groups of four channels of four pixels. Returns where the next group goes. */
TINYML_DSP_ASSEMBLY uint32_t *tinyml_dsp_widen_columns(const int8_t *x TINYML_DSP_ARGUMENT,
                                                       int32_t pixel TINYML_DSP_ARGUMENT,
                                                       int32_t groups TINYML_DSP_ARGUMENT,
                                                       uint32_t *to TINYML_DSP_ARGUMENT) {
  __asm__(
      "push   {r4-r11}              \n"
      "add    r12, r1, r1, lsl #1   \n"
      "1:                           \n"
      "ldr    r4, [r0]              \n"
      "ldr    r6, [r0, r1]          \n"
      "ldr    r8, [r0, r1, lsl #1]  \n"
      "ldr    r10, [r0, r12]        \n"
      "add    r0, r0, #4            \n"
      "sxtb16 r5, r4, ror #8        \n"
      "sxtb16 r4, r4                \n"
      "sxtb16 r7, r6, ror #8        \n"
      "sxtb16 r6, r6                \n"
      "sxtb16 r9, r8, ror #8        \n"
      "sxtb16 r8, r8                \n"
      "sxtb16 r11, r10, ror #8      \n"
      "sxtb16 r10, r10              \n"
      "stmia  r3!, {r4-r11}         \n"
      "subs   r2, r2, #1            \n"
      "bne    1b                    \n"
      "mov    r0, r3                \n"
      "pop    {r4-r11}              \n"
      "bx     lr                    \n");
}

/* clang-format off */
/* Three taps of four channels: each takes one column more, the second window's, and leaves one. */
#define GROUP                       \
  TINYML_DSP_LOAD_PAIR              \
  "ldmia  r1!, {r2, r3, r4, r5}\n"  \
  TINYML_DSP_MULTIPLY2("r2", "r3", "r4", "r5") \
  TINYML_DSP_LOAD_PAIR              \
  "ldrd   r2, r3, [r1], #8\n"       \
  TINYML_DSP_MULTIPLY2("r4", "r5", "r2", "r3") \
  TINYML_DSP_LOAD_PAIR              \
  "ldrd   r4, r5, [r1], #8\n"       \
  TINYML_DSP_MULTIPLY2("r2", "r3", "r4", "r5")
/* clang-format on */

/* All pairs applied to two windows. Where both outputs are the same place, the first's stays. */
TINYML_DSP_ASSEMBLY void tinyml_dsp_pairs2_w3(const int32_t *pairs TINYML_DSP_ARGUMENT,
                                              const uint32_t *columns TINYML_DSP_ARGUMENT,
                                              int32_t groups TINYML_DSP_ARGUMENT,
                                              int8_t *out0 TINYML_DSP_ARGUMENT,
                                              int8_t *out1 TINYML_DSP_ARGUMENT,
                                              int32_t channels TINYML_DSP_ARGUMENT) {
  __asm__(
      "push   {r4-r11, lr}            \n"
      "ldrd   r4, r5, [sp, #36]       \n"
      "add    r5, r3, r5              \n"
      "push   {r1, r2, r3, r4, r5}    \n" /* the last: the end of the first output */
      "1:                             \n"
      "ldrd   r8, r9, [r0], #8        \n"
      "ldrd   r1, r6, [sp]            \n"
      "mov    r10, r8                 \n"
      "mov    r11, r9                 \n"
      "2:                             \n" GROUP
      "subs   r6, r6, #1              \n"
      "bne    2b                      \n" TINYML_DSP_RESCALE2
      "ldrd   r1, r7, [sp, #8]        \n"
      "ldr    r12, [sp, #16]          \n" TINYML_DSP_STORE2
      "strd   r1, r7, [sp, #8]        \n"
      "cmp    r1, r12                 \n"
      "bne    1b                      \n"
      "7:                             \n"
      "add    sp, sp, #20             \n"
      "pop    {r4-r11, pc}            \n");
}

/* Widens one column, whose pixel is x, or padding where that is NULL. */
static void widen_column(const tinyml_conv_window *window, const int8_t *x, uint32_t *to) {
  const uint32_t zeros = (uint8_t)window->input_zero_point * 0x01010101u;
  for (int32_t i = 0; i < window->in_channels; i += 4, to += GROUP_WORDS) {
    tinyml_dsp_widen4(x == NULL ? zeros : tinyml_dsp_load4(x + i), to);
  }
}

/* Widens the four columns that two windows see together, from `origin` pixels into the rows. */
static void widen_columns(const tinyml_conv_window *window, const tinyml_span *span,
                          const int8_t *const *rows, int32_t origin, uint32_t *to) {
  const int32_t pixel = window->in_channels, groups = pixel / 4;
  for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
    const int8_t *row = rows[ky];
    if (row != NULL && origin >= 0 && origin + 4 <= span->in_width) {
      to = tinyml_dsp_widen_columns(row + origin * pixel, pixel, groups, to);
      continue;
    }
    for (int32_t i = 0; i < 4; ++i) {
      const int32_t at = origin + i, inside = row != NULL && at >= 0 && at < span->in_width;
      widen_column(window, inside ? row + at * pixel : NULL, to + 2 * i);
    }
    to += groups * GROUP_WORDS;
  }
}

void tinyml_conv_w3_s8_dsp(const tinyml_conv_s8_dsp_op *op, const tinyml_span *span,
                           const int8_t *const *rows, int8_t *out, void *scratch) {
  const tinyml_dsp_outputs *to = &op->filters.out;
  const int32_t groups = op->window.kernel_height * op->window.in_channels / 4;
  int8_t *next = out;
  for (int32_t x = 0; x < span->out_width; x += 2, next += 2 * to->channels) {
    int8_t *second = x + 1 < span->out_width ? next + to->channels : next;
    widen_columns(&op->window, span, rows, x - span->pad_left, scratch);
    tinyml_dsp_pairs2_w3(op->filters.pairs, scratch, groups, next, second, to->channels);
  }
  tinyml_dsp_clamp(out, span->out_width * to->channels, to->act_min, to->act_max);
}
