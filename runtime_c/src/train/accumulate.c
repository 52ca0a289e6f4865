#include "tinyml_train_common.h"

void tinyml_train_accumulate(const tinyml_train_count_op *op, const float *more, float *gradient) {
  for (int32_t i = 0; i < op->count; ++i) gradient[i] = gradient[i] + more[i];
}
