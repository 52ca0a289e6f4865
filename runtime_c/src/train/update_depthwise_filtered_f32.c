#include "tinyml_train_weights.h"

void tinyml_train_update_depthwise_filtered_f32(const tinyml_train_update_op *op, const float *g,
                                                const float *x, float *weights, float *momentum,
                                                const tinyml_train_sample *sample) {
  tinyml_train_update_depthwise_filtered(op, g, x, weights, momentum, sample, 0);
}
