#include "tinyml_train_forward.h"

void tinyml_train_clamp_f32(const tinyml_train_clamp_f32_op *op, const float *x, float *y) {
  for (int32_t i = 0; i < op->count; ++i) y[i] = tinyml_train_clamp(x[i], op->act_min, op->act_max);
}
