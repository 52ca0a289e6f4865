#include "tinyml_train_common.h"

void tinyml_train_mean_grad(const tinyml_train_mean_grad_op *op, const float *gradient, float *dx) {
  const int32_t *d = op->dims, *s = op->strides;
  for (int32_t i = 0; i < d[0]; ++i) {
    for (int32_t j = 0; j < d[1]; ++j) {
      for (int32_t k = 0; k < d[2]; ++k) {
        const float *g = gradient + i * s[0] + j * s[1] + k * s[2];
        for (int32_t m = 0; m < d[3]; ++m, g += s[3]) *dx++ = *g * op->factor;
      }
    }
  }
}
