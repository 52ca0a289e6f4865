#include "tinyml_train_forward.h"

void tinyml_train_mean_f32(const tinyml_train_mean_f32_op *op, const float *x, float *y) {
  const int32_t *d = op->kept, *s = op->kept_strides, *e = op->axes, *t = op->axes_strides;
  for (int32_t at = 0; at < d[0] * d[1] * d[2] * d[3]; ++at) {
    const int32_t m = at % d[3], k = at / d[3] % d[2];
    const int32_t j = at / (d[3] * d[2]) % d[1], i = at / (d[3] * d[2] * d[1]);
    const float *from = x + i * s[0] + j * s[1] + k * s[2] + m * s[3];
    float sum = 0.0f;
    for (int32_t a = 0; a < e[0]; ++a) {
      for (int32_t b = 0; b < e[1]; ++b) {
        for (int32_t c = 0; c < e[2]; ++c) {
          const float *term = from + a * t[0] + b * t[1] + c * t[2];
          for (int32_t f = 0; f < e[3]; ++f, term += t[3]) sum += *term;
        }
      }
    }
    *y++ = tinyml_train_clamp(sum * op->factor, op->act_min, op->act_max);
  }
}
