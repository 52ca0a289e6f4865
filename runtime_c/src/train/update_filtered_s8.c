#include "tinyml_train_weights.h"

void tinyml_train_update_filtered_s8(const tinyml_train_update_op *op, const float *g,
                                     const int8_t *x, int8_t *weights, float *momentum,
                                     const tinyml_train_sample *sample) {
  tinyml_train_update_filtered(op, g, x, weights, momentum, sample, 1);
}
