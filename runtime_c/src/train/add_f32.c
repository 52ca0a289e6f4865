#include "tinyml_train_forward.h"

void tinyml_train_add_f32(const tinyml_train_add_f32_op *op, const float *a, const float *b,
                          float *y) {
  const int32_t *d = op->dims, *s = op->strides, *t = op->others;
  for (int32_t i = 0; i < d[0]; ++i) {
    for (int32_t j = 0; j < d[1]; ++j) {
      for (int32_t k = 0; k < d[2]; ++k) {
        const float *p = a + i * s[0] + j * s[1] + k * s[2];
        const float *q = b + i * t[0] + j * t[1] + k * t[2];
        for (int32_t m = 0; m < d[3]; ++m, p += s[3], q += t[3]) {
          *y++ = tinyml_train_clamp(*p + *q, op->act_min, op->act_max);
        }
      }
    }
  }
}
