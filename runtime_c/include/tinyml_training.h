/* tinyml: what a model that learns on the device is to code that serves any model. */
#ifndef TINYML_TRAINING_H
#define TINYML_TRAINING_H

#include "tinyml.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  uint8_t *parameters; /* what learns, in RAM */
  uint32_t parameter_bytes;
  uint8_t *state; /* what is remembered from one sample to the next; NULL: nothing */
  uint32_t state_bytes;
  uint32_t target_bytes; /* of what is to be learned: a label (int32_t), or the whole output */
  uint32_t input_offset; /* where in the arena a step has the model's input, which it overwrites */
  /* Learns from the input that lies there; sample `number` of all, from 0, of the random numbers of
   * `seed`. */
  tinyml_status (*learn)(tinyml_model *model, const void *target, float rate, uint32_t seed,
                         uint32_t number, float *loss);
} tinyml_training_info;

#ifdef __cplusplus
}
#endif

#endif
