/* What both forms of SVDF do, for a state and time weights of one type. */
#ifndef TINYML_SVDF_H
#define TINYML_SVDF_H

#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

/* What goes into the state of one filter: features of one input. TFLM adds the zero point to what
 * is within the limits already, so the sum may wrap around when it is stored. */
static inline int32_t tinyml_svdf_feature(const tinyml_svdf_layer *l, const int8_t *in,
                                          int32_t filter, int32_t low, int32_t high) {
  const TINYML_FLASH int8_t *const weights = l->feature_weights + filter * l->inputs;
  int32_t sum = 0;
  for (int32_t i = 0; i < l->inputs; ++i) {
    sum = tinyml_add(sum, weights[i] * (in[i] - l->input_zero_point));
  }
  sum = tinyml_requantize(sum, l->feature_scale.multiplier, l->feature_scale.shift);
  return tinyml_clamp(sum, low, high) + l->state_zero_point;
}

/* Defines `name`: the kernel for elements of `type` within low..high. The state is a line of
 * entries in which every filter's newest comes last, so dropping the oldest of each is one move. */
#define TINYML_SVDF_KERNEL(name, type, low, high)                                                 \
  void name(const name##_op *op, const int8_t *in, int8_t *out, type *state) {                    \
    const tinyml_svdf_layer *const l = &op->layer;                                                \
    const int32_t memory = l->memory;                                                             \
    for (int32_t n = 0; n < l->batches; ++n, in += l->inputs) {                                   \
      for (int32_t f = 0; f < l->filters;) {                                                      \
        int32_t sum = l->bias == NULL ? 0 : l->bias[f / l->rank];                                 \
        for (int32_t r = 0; r < l->rank; ++r, ++f, state += memory) {                             \
          const TINYML_FLASH type *const weights = op->time_weights + f * memory;                 \
          for (int32_t t = 0; t < memory - 1; ++t) {                                              \
            state[t] = state[t + 1];                                                              \
            sum = tinyml_add(sum, weights[t] * (state[t] - l->state_zero_point));                 \
          }                                                                                       \
          state[memory - 1] = (type)tinyml_svdf_feature(l, in, f, low, high);                     \
          sum = tinyml_add(sum, weights[memory - 1] * (state[memory - 1] - l->state_zero_point)); \
        }                                                                                         \
        sum = tinyml_requantize(sum, l->output_scale.multiplier, l->output_scale.shift);          \
        *out++ = tinyml_to_s8(sum, l->output_zero_point, INT8_MIN, INT8_MAX);                     \
      }                                                                                           \
    }                                                                                             \
  }

#endif
