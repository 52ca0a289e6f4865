#include "tinyml_train_update.h"

void tinyml_train_begin(const tinyml_train_schedule *op, float rate, uint32_t seed, uint32_t number,
                        tinyml_train_sample *sample) {
  const uint32_t place = number % (uint32_t)op->batch;
  sample->rate = rate / (float)op->batch;
  sample->decay = place == 0 ? op->momentum : 1.0f;
  sample->applies = place + 1 == (uint32_t)op->batch;
  sample->key = tinyml_train_mix(tinyml_train_mix(seed) + number);
}
