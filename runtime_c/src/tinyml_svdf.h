/* What both forms of SVDF do, for a state and time weights of one type. */
#ifndef TINYML_SVDF_H
#define TINYML_SVDF_H

#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

/* What goes into the state of one filter: features of one input. TFLM adds the zero point to what
 * is within the limits already, so the sum may wrap around when it is stored. */
static inline int32_t tinyml_svdf_feature(const int8_t *in, const TINYML_FLASH int8_t *weights,
                                          int32_t inputs, int32_t zero_point, tinyml_scale scale,
                                          int32_t state_zero_point, int32_t low, int32_t high) {
  int32_t sum = 0;
  for (int32_t i = 0; i < inputs; ++i) sum = tinyml_add(sum, weights[i] * (in[i] - zero_point));
  sum = tinyml_requantize(sum, scale.multiplier, scale.shift);
  return tinyml_clamp(sum, low, high) + state_zero_point;
}

/* Defines `name`: the kernel for elements of `type` within low..high. The state is a line of
 * entries in which every filter's newest comes last, so dropping the oldest of each is one move. */
#define TINYML_SVDF_KERNEL(name, type, low, high)                                                  \
  void name(const name##_op *op, const int8_t *in, int8_t *out, type *state) {                     \
    const int32_t memory = op->memory;                                                             \
    for (int32_t n = 0; n < op->batches; ++n, in += op->inputs) {                                  \
      for (int32_t f = 0; f < op->filters;) {                                                      \
        int32_t sum = op->bias == NULL ? 0 : op->bias[f / op->rank];                               \
        for (int32_t r = 0; r < op->rank; ++r, ++f, state += memory) {                             \
          const TINYML_FLASH type *const weights = op->time_weights + f * memory;                  \
          for (int32_t t = 0; t < memory - 1; ++t) {                                               \
            state[t] = state[t + 1];                                                               \
            sum = tinyml_add(sum, weights[t] * (state[t] - op->state_zero_point));                 \
          }                                                                                        \
          state[memory - 1] = (type)tinyml_svdf_feature(                                           \
              in, op->feature_weights + f * op->inputs, op->inputs, op->input_zero_point,          \
              op->feature_scale, op->state_zero_point, low, high);                                 \
          sum = tinyml_add(sum, weights[memory - 1] * (state[memory - 1] - op->state_zero_point)); \
        }                                                                                          \
        sum = tinyml_requantize(sum, op->output_scale.multiplier, op->output_scale.shift);         \
        *out++ = tinyml_to_s8(sum, op->output_zero_point, INT8_MIN, INT8_MAX);                     \
      }                                                                                            \
    }                                                                                              \
  }

#endif
