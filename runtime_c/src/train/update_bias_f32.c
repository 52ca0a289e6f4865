#include "tinyml_train_bias.h"

void tinyml_train_update_bias_f32(const tinyml_train_update_bias_op *op, const float *gradient,
                                  float *bias, float *momentum, const tinyml_train_sample *sample) {
  tinyml_train_update_bias(op, gradient, bias, momentum, sample, 0);
}
