/* Updates of biases: sums of outputs' gradients. */
#ifndef TINYML_TRAIN_BIAS_H
#define TINYML_TRAIN_BIAS_H

#include "tinyml_train_update.h"

TINYML_TRAIN_INLINE void tinyml_train_update_bias(const tinyml_train_update_bias_op *op,
                                                  const float *gradient, void *bias,
                                                  float *momentum,
                                                  const tinyml_train_sample *sample, int s8) {
  const tinyml_train_change c = tinyml_train_change_of(&op->parameter, sample);
  for (int32_t o = 0; o < op->channels; ++o) {
    const float *g = gradient + o;
    float sum = 0.0f;
    for (int32_t n = 0; n < op->images; ++n) {
      for (int32_t p = 0; p < op->places; ++p, g += op->channels) {
        sum += op->pixels == NULL ? *g : *g * (float)op->pixels[p];
      }
    }
    tinyml_train_move_bias(&op->parameter, &c, bias, momentum, o, sum, s8);
  }
}

TINYML_TRAIN_INLINE void tinyml_train_update_bias_share(const tinyml_train_update_bias_share_op *op,
                                                        const float *dx, const uint8_t *active,
                                                        void *bias, float *momentum,
                                                        const tinyml_train_sample *sample, int s8) {
  const tinyml_train_change c = tinyml_train_change_of(&op->parameter, sample);
  const tinyml_train_patches *patches = &op->patches;
  const int32_t channels = patches->channels;
  for (int32_t o = 0; o < channels; ++o) {
    int32_t at = o;
    float sum = 0.0f;
    for (int32_t i = 0; i < tinyml_train_patch_count(patches); ++i, at += channels) {
      int32_t count = active[op->bits ? 0 : at];
      if (op->bits) {
        const tinyml_train_patch patch = tinyml_train_patch_at(&patches->grid, i, channels);
        count = tinyml_train_bits(&patch, o, active);
      }
      sum += dx[at] * (float)count;
    }
    tinyml_train_move_bias(&op->parameter, &c, bias, momentum, o, sum, s8);
  }
}

#endif
