#include <string.h>

#include "tinyml_dsp.h"
#include "tinyml_kernels.h"

enum {
  WORD = 4,   /* elements computed together */
  REPEAT = 32 /* elements that one element of the other operand is repeated for */
};

/* What the loop needs in registers, in their order. */
typedef struct {
  uint32_t a_zeros; /* the zero point taken away, in both halves */
  uint32_t b_zeros;
  int32_t multiplier;
  int32_t right;
  int32_t twice; /* twice the output's zero point and one */
  const int8_t *end;
} mul_state;

/* All products of neighbours up to the end, four at a time: SXTAB16 widens two elements and takes
 * away their zero point. */
TINYML_DSP_ASSEMBLY void tinyml_dsp_mul(const int8_t *a TINYML_DSP_ARGUMENT,
                                        const int8_t *b TINYML_DSP_ARGUMENT,
                                        int8_t *out TINYML_DSP_ARGUMENT,
                                        const mul_state *state TINYML_DSP_ARGUMENT) {
  /* clang-format off */
  __asm__(
      "push    {r4-r11, lr}           \n"
      "ldm     r3, {r4-r9}            \n"
      "1:                             \n"
      "ldr     r10, [r0], #4          \n"
      "ldr     r11, [r1], #4          \n"
      "sxtab16 r12, r4, r10           \n"
      "sxtab16 r10, r4, r10, ror #8   \n"
      "sxtab16 lr, r5, r11            \n"
      "sxtab16 r11, r5, r11, ror #8   \n"
      "smulbb  r3, r12, lr            \n"
      "smultt  r12, r12, lr           \n"
      "smulbb  lr, r10, r11           \n"
      "smultt  r10, r10, r11          \n"
      TINYML_DSP_RESCALE("r3", "r6", "r7", "r8")
      TINYML_DSP_RESCALE("lr", "r6", "r7", "r8")
      TINYML_DSP_RESCALE("r12", "r6", "r7", "r8")
      TINYML_DSP_RESCALE("r10", "r6", "r7", "r8")
      "strb    r3, [r2], #4           \n"
      "strb    lr, [r2, #-3]          \n"
      "strb    r12, [r2, #-2]         \n"
      "strb    r10, [r2, #-1]         \n"
      "cmp     r2, r9                 \n"
      "bne     1b                     \n"
      "pop     {r4-r11, pc}           \n");
  /* clang-format on */
}

static inline int8_t mul(const tinyml_mul_s8_op *op, int32_t a, int32_t b) {
  const int32_t product = (a - op->a_zero_point) * (b - op->b_zero_point);
  return tinyml_to_s8(tinyml_requantize(product, op->output.multiplier, op->output.shift),
                      op->output_zero_point, INT8_MIN, INT8_MAX);
}

/* n products of neighbours: whole words, where the scale has the quick form, and the rest */
static void products(const tinyml_mul_s8_op *op, mul_state *state, const int8_t *a, const int8_t *b,
                     int32_t n, int8_t *out) {
  int32_t i = state->right < 0 ? 0 : n & -WORD;
  if (i > 0) {
    state->end = out + i;
    tinyml_dsp_mul(a, b, out, state);
  }
  for (; i < n; ++i) out[i] = mul(op, a[i], b[i]);
}

/* As much of an operand as follows: neighbours, or one element again and again, as `same` holds
 * it. */
static inline const int8_t *next(const int8_t *from, int32_t stride, int32_t i, int8_t *same) {
  if (stride != 0) return from + i;
  memset(same, *from, REPEAT);
  return same;
}

void tinyml_mul_s8_dsp(const tinyml_mul_s8_op *op, const tinyml_span *span,
                       const int8_t *const *rows, int8_t *out) {
  const tinyml_broadcast *s = &op->shape;
  const tinyml_scale scale = op->output;
  const int quick = scale.multiplier >= 1 << 30 && scale.shift < 0;
  const int run = s->a_channel_stride == 1 && s->a_pixel_stride == s->channels &&
                  s->b_channel_stride == 1 && s->b_pixel_stride == s->channels;
  const int32_t pixels = run ? 1 : span->out_width;
  const int32_t elements = run ? span->out_width * s->channels : s->channels;
  const int32_t most = s->a_channel_stride != 0 && s->b_channel_stride != 0 ? elements : REPEAT;
  const int8_t *a = rows[0], *b = rows[1];
  int8_t same_a[REPEAT], same_b[REPEAT];
  mul_state state = {
      .a_zeros = (uint16_t)-op->a_zero_point * (uint32_t)0x10001,
      .b_zeros = (uint16_t)-op->b_zero_point * (uint32_t)0x10001,
      .multiplier = (int32_t)((uint32_t)scale.multiplier << 1),
      .right = quick ? -scale.shift - 1 : -1,
      .twice = 2 * op->output_zero_point + 1,
  };
  for (int32_t x = 0; x < pixels; ++x) {
    int8_t *to = out + x * elements;
    for (int32_t i = 0; i < elements; i += most) {
      products(op, &state, next(a, s->a_channel_stride, i, same_a),
               next(b, s->b_channel_stride, i, same_b), tinyml_min(most, elements - i), to + i);
    }
    a += s->a_pixel_stride;
    b += s->b_pixel_stride;
  }
  tinyml_dsp_clamp(out, pixels * elements, op->act_min, op->act_max);
}
