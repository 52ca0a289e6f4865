#include "tinyml_kernels.h"
#include "tinyml_neon_sums.h"

/* The table fills sixteen registers; TBX leaves alone what is not in the quarter that it sees. */
void tinyml_lut_8_neon(const tinyml_lut_8_op *op, const tinyml_span *span,
                       const int8_t *const *rows, int8_t *out) {
  const int8x16x4_t t0 = vld1q_s8_x4(op->table), t1 = vld1q_s8_x4(op->table + 64);
  const int8x16x4_t t2 = vld1q_s8_x4(op->table + 128), t3 = vld1q_s8_x4(op->table + 192);
  const uint8x16_t quarter = vdupq_n_u8(64);
  const int8_t *in = rows[0];
  for (int32_t n = span->out_width * op->channels; n > 0; n -= TINYML_NEON_STEP) {
    uint8x16_t x = vreinterpretq_u8_s8(tinyml_neon_load(in, n));
    int8x16_t y = vqtbl4q_s8(t0, x);
    x = vsubq_u8(x, quarter);
    y = vqtbx4q_s8(y, t1, x);
    x = vsubq_u8(x, quarter);
    y = vqtbx4q_s8(y, t2, x);
    x = vsubq_u8(x, quarter);
    y = vqtbx4q_s8(y, t3, x);
    tinyml_neon_put(out, y, n);
    in += TINYML_NEON_STEP;
    out += TINYML_NEON_STEP;
  }
}
