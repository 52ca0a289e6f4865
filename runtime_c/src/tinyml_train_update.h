/* Updates of parameters: momentum, steps, and for integers rounding at random. */
#ifndef TINYML_TRAIN_UPDATE_H
#define TINYML_TRAIN_UPDATE_H

#include "tinyml_train_common.h"

/* MurmurHash3's finalizer */
static inline uint32_t tinyml_train_mix(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x85EBCA6Bu;
  x = (x ^ (x >> 13)) * 0xC2B2AE35u;
  return x ^ (x >> 16);
}

/* What an update of one parameter needs at hand. */
typedef struct {
  float rate;
  float decay;
  uint32_t key;
  int32_t limit;
  int32_t applies;
} tinyml_train_change;

static inline tinyml_train_change tinyml_train_change_of(const tinyml_train_parameter *p,
                                                         const tinyml_train_sample *sample) {
  tinyml_train_change c;
  c.rate = sample->rate;
  c.decay = sample->decay;
  c.key = tinyml_train_mix(sample->key + p->ordinal);
  c.limit = p->limit;
  c.applies = sample->applies;
  return c;
}

/* The step for a gradient d, which joins what is remembered. */
static inline float tinyml_train_step(const tinyml_train_change *c, float d, float *momentum) {
  if (momentum != NULL) {
    d = *momentum * c->decay + d;
    *momentum = d;
  }
  return c->rate * d;
}

/* |step| as a whole number, one more with the probability of its fraction. */
static inline int32_t tinyml_train_whole(const tinyml_train_change *c, float step,
                                         int32_t element) {
  float m = step < 0.0f ? -step : step;
  if (!(m < 1073741824.0f)) m = 1073741824.0f; /* what is no number, too */
  const int32_t whole = (int32_t)m;
  const float rest = (m - (float)whole) * 16777216.0f;
  const int32_t draw = (int32_t)(tinyml_train_mix(c->key + (uint32_t)element) >> 8);
  return whole + ((float)draw < rest ? 1 : 0);
}

static inline int8_t tinyml_train_moved_s8(const tinyml_train_change *c, int8_t value, float step,
                                           int32_t element) {
  if (step == 0.0f) return value; /* no draw is below 0 */
  const int32_t change = tinyml_train_whole(c, step, element);
  const int32_t moved = step > 0.0f ? value - change : value + change;
  const int32_t low = value < -c->limit ? value : -c->limit;
  return (int8_t)(moved > c->limit ? c->limit : moved < low ? low : moved);
}

static inline int32_t tinyml_train_moved_s32(const tinyml_train_change *c, int32_t value,
                                             float step, int32_t element) {
  const int64_t change = tinyml_train_whole(c, step, element);
  const int64_t moved = step > 0.0f ? value - change : value + change;
  const int64_t low = value < -c->limit ? value : -c->limit;
  return (int32_t)(moved > c->limit ? c->limit : moved < low ? low : moved);
}

/* Moves weight number `element` by `step`. */
TINYML_TRAIN_INLINE void tinyml_train_move(const tinyml_train_change *c, void *weights,
                                           int32_t element, float step, int s8) {
  if (s8) {
    int8_t *w = (int8_t *)weights + element;
    *w = tinyml_train_moved_s8(c, *w, step, element);
  } else {
    float *w = (float *)weights + element;
    *w = *w - step;
  }
}

/* Moves bias number `channel`, the sum of whose gradients is `sum`. */
TINYML_TRAIN_INLINE void tinyml_train_move_bias(const tinyml_train_parameter *p,
                                                const tinyml_train_change *c, void *bias,
                                                float *momentum, int32_t channel, float sum,
                                                int s8) {
  const float d = s8 ? sum * p->factors[channel] : sum;
  const float step = tinyml_train_step(c, d, momentum == NULL ? NULL : momentum + channel);
  if (!c->applies) return;
  if (s8) {
    int32_t *b = (int32_t *)bias + channel;
    *b = tinyml_train_moved_s32(c, *b, step, channel);
  } else {
    float *b = (float *)bias + channel;
    *b = *b - step;
  }
}

#endif
