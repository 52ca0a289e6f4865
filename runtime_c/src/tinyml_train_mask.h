/* Which elements lie in an open interval, for elements of either type. */
#ifndef TINYML_TRAIN_MASK_H
#define TINYML_TRAIN_MASK_H

#include "tinyml_train_common.h"

/* These are macros, so that integers are compared as integers. `op` has low and high. */
#define TINYML_TRAIN_INSIDE(op, y, at) ((op)->low < (y)[at] && (y)[at] < (op)->high)

/* As bits, the lowest one first. */
#define TINYML_TRAIN_SAVE_MASK(op, y, mask)                            \
  for (int32_t i_ = 0; i_ < (op)->count; i_ += 8) {                    \
    const int32_t rest_ = (op)->count - i_ < 8 ? (op)->count - i_ : 8; \
    uint32_t byte_ = 0;                                                \
    for (int32_t k_ = 0; k_ < rest_; ++k_) {                           \
      byte_ |= (uint32_t)TINYML_TRAIN_INSIDE(op, y, i_ + k_) << k_;    \
    }                                                                  \
    (mask)[i_ >> 3] = (uint8_t)byte_;                                  \
  }

/* How many, for every patch and channel. */
#define TINYML_TRAIN_SAVE_SHARE(op, y, share)                                                    \
  for (int32_t i_ = 0; i_ < tinyml_train_patch_count(&(op)->patches); ++i_) {                    \
    const int32_t channels_ = (op)->patches.channels;                                            \
    const tinyml_train_patch patch_ = tinyml_train_patch_at(&(op)->patches.grid, i_, channels_); \
    for (int32_t c_ = 0; c_ < channels_; ++c_) {                                                 \
      int32_t count_ = 0;                                                                        \
      TINYML_TRAIN_PATCH_PIXELS(patch_, c_, at_) count_ += TINYML_TRAIN_INSIDE(op, y, at_);      \
      (share)[i_ * channels_ + c_] = (uint8_t)count_;                                            \
    }                                                                                            \
  }

/* The gradient becomes 0 where the value is outside. */
#define TINYML_TRAIN_MASK_VALUE(op, y, gradient)                \
  for (int32_t i_ = 0; i_ < (op)->count; ++i_) {                \
    if (!TINYML_TRAIN_INSIDE(op, y, i_)) (gradient)[i_] = 0.0f; \
  }

#endif
