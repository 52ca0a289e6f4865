#include "tinyml_kernels.h"
#include "tinyml_mve.h"

/* One operand: what it is multiplied by, and what then joins it, to be shifted to the left and less
 * its zero point; and how it is rescaled. */
typedef struct {
  int32x4_t power;
  int32_t zero_point;
  tinyml_scale scale;
} operand;

static inline operand operand_of(int32_t left_shift, int32_t zero_point, tinyml_scale scale) {
  const operand x = {vdupq_n_s32((int32_t)1 << left_shift),
                     tinyml_shift_left(-zero_point, left_shift), scale};
  return x;
}

/* round(x * 2^shift), ties away from zero, for shift <= 0; x > -2^31 */
static inline int32x4_t round_down(int32x4_t x, int32_t shift) {
  return vrshlq_n_s32(vmlaq_n_s32(x, vshrq_n_s32(x, 31), shift < 0), shift);
}

/* The operand's share of the sum. */
static inline int32x4_t share(int32x4_t x, const operand *by, int32_t shifted) {
  x = vqrdmulhq_n_s32(vmlasq_n_s32(x, by->power, by->zero_point), by->scale.multiplier);
  return shifted ? round_down(x, by->scale.shift) : x;
}

/* Adds n elements. `a_shifted`, a constant, says whether the scale of a may have a shift. */
static inline void add(const tinyml_add_s8_op *op, operand a, operand b, const int8_t *x,
                       const int8_t *y, int32_t n, int8_t *out, int32_t a_shifted) {
  const tinyml_mve_output output = {vdupq_n_s32(op->act_min - op->output_zero_point),
                                    vdupq_n_s32(op->act_max - op->output_zero_point),
                                    op->output_zero_point, 1};
  const tinyml_scale scale = op->output;
  for (; n > 0; n -= 4) {
    int32x4_t u = tinyml_mve_load(&x, n), v = tinyml_mve_load(&y, n);
    u = vaddq_s32(share(u, &a, a_shifted), share(v, &b, 1));
    u = round_down(vqrdmulhq_n_s32(u, scale.multiplier), scale.shift);
    out = tinyml_mve_store(out, tinyml_mve_clamp(u, &output), n);
  }
}

void tinyml_add_s8_mve(const tinyml_add_s8_op *op, const tinyml_span *span,
                       const int8_t *const *rows, int8_t *out) {
  const int32_t n = span->out_width * op->shape.channels;
  const operand a = operand_of(op->left_shift, op->a_zero_point, op->a);
  const operand b = operand_of(op->left_shift, op->b_zero_point, op->b);
  /* The operand of the larger scale has no shift, as a rule. */
  if (a.scale.shift == 0) {
    add(op, a, b, rows[0], rows[1], n, out, 0);
  } else if (b.scale.shift == 0) {
    add(op, b, a, rows[1], rows[0], n, out, 0);
  } else {
    add(op, a, b, rows[0], rows[1], n, out, 1);
  }
}
