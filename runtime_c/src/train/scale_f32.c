#include "tinyml_train_common.h"

void tinyml_train_scale_f32(const tinyml_train_scale_op *op, const float *dx, float *g) {
  for (int32_t i = 0; i < op->count; ++i) g[i] = dx[i] * op->factor;
}
