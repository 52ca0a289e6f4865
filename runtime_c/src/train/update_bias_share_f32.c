#include "tinyml_train_bias.h"

void tinyml_train_update_bias_share_f32(const tinyml_train_update_bias_share_op *op,
                                        const float *dx, const uint8_t *active, float *bias,
                                        float *momentum, const tinyml_train_sample *sample) {
  tinyml_train_update_bias_share(op, dx, active, bias, momentum, sample, 0);
}
