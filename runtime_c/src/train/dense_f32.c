#include "tinyml_train_forward.h"

void tinyml_train_dense_f32(const tinyml_train_linear_f32_op *op, const float *x,
                            const float *weights, const float *bias, float *y) {
  const tinyml_train_layer *l = &op->layer;
  tinyml_train_start(y, l->images, l->out_channels, bias);
  for (int32_t o = 0; o < l->out_channels; o += 4) {
    const int32_t rest = l->out_channels - o < 4 ? l->out_channels - o : 4;
    tinyml_train_add_dots(x, l->in_channels, weights + o * l->in_channels, l->in_channels,
                          l->in_channels, y + o, l->out_channels, rest, l->images);
  }
  tinyml_train_limit(y, l->images * l->out_channels, op->act_min, op->act_max);
}
