/* tinyml: the kernels of training on the device.
 *
 * Every result has the bits that docs/training.md ("The order of operations") says: float32,
 * products and sums rounded apart (-ffp-contract=off), sums in order from +0. Maps are NHWC,
 * weights OHWI, 1HWC or [out, in], all dense; `images` is N. Op structs and their tables are
 * constants in flash. No kernel allocates, keeps state or calls libm. Sizes are counted in elements
 * unless a name says bytes.
 *
 * A kernel is called with its op, then pointers to what it reads, then to what it writes or
 * changes; updates take the sample at last, and kernels with a TINYML_TRAIN_*_SCRATCH their
 * scratch, which is aligned to 4 bytes. Pointers do not overlap but for those marked "in place".
 *
 * _s8 are kernels of heads that stay int8, _f32 those of float32 heads; gradients are always
 * float32.
 */
#ifndef TINYML_TRAIN_H
#define TINYML_TRAIN_H

#include <stdint.h>

#include "tinyml_kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Samples -------------------------------------------------------------------------------- */

/* What a whole training run has in common. */
typedef struct {
  int32_t batch;  /* samples to an update */
  float momentum; /* 0 for none */
} tinyml_train_schedule;

/* What updates need to know of the sample that they are for. */
typedef struct {
  float rate;      /* divided by the batch */
  float decay;     /* of what momentum buffers hold */
  int32_t applies; /* 1 with the last sample of a batch, when parameters change */
  uint32_t key;    /* of seed and sample, for random numbers */
} tinyml_train_sample;

/* Fills in `sample`, which is number `number` of all since training began, from 0. */
void tinyml_train_begin(const tinyml_train_schedule *op, float rate, uint32_t seed, uint32_t number,
                        tinyml_train_sample *sample);

/* ---- Patches -------------------------------------------------------------------------------- */

/* `count` blocks of `extent` pixels along an axis of `size`; the first begins at -`pad`. */
typedef struct {
  int32_t size;
  int32_t extent;
  int32_t count;
  int32_t pad;
} tinyml_train_blocks;

typedef struct {
  tinyml_train_blocks rows;
  tinyml_train_blocks columns;
} tinyml_train_grid;

/* Maps of `channels` and the patches of a grid over them. */
typedef struct {
  int32_t images;
  int32_t channels;
  tinyml_train_grid grid;
} tinyml_train_patches;

/* What follows is declared in the order of a training step. */

/* ---- Forward pass, int8: layers whose parameters are in RAM --------------------------------- */

/* How a kernel moves over a map, along both axes. */
typedef struct {
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_y;
  int32_t stride_x;
  int32_t dilation_y;
  int32_t dilation_x;
  int32_t pad_top;
  int32_t pad_left;
} tinyml_train_window;

/* A convolution with its maps; a dense layer is one of a 1x1 map per row. */
typedef struct {
  int32_t images;
  int32_t in_height;
  int32_t in_width;
  int32_t in_channels;
  int32_t out_height;
  int32_t out_width;
  int32_t out_channels;
  int32_t multiplier; /* outputs to a channel of a depthwise layer; 0 if outputs see all channels */
  tinyml_train_window window;
} tinyml_train_layer;

/* What becomes of sums: rescaled by the channel's multiplier * 2^(shift - 31), shifted to
 * zero_point, clamped to act_min..act_max. biases: 0, for a call whose bias is NULL. */
typedef struct {
  int32_t zero_point;
  int32_t act_min;
  int32_t act_max;
  const int32_t *biases;
  const int32_t *multipliers;
  const int8_t *shifts;
} tinyml_train_outputs_s8;

/* Convolution, depthwise convolution and dense layer as tinyml_conv_s8, tinyml_depthwise_conv_s8
 * and tinyml_fully_connected_s8, but of parameters as the graph has them. */
typedef struct {
  tinyml_train_layer layer;
  int32_t input_zero_point;
  int32_t weights_zero_point; /* 0 but for dense layers */
  tinyml_train_outputs_s8 outputs;
} tinyml_train_linear_s8_op;

/* The scratch holds biases that take in the input's zero point, then two windows. */
#define TINYML_TRAIN_CONV_S8_SCRATCH(kernel_height, kernel_width, in_channels, out_channels) \
  (4 * (out_channels) + TINYML_CONV_S8_SCRATCH(kernel_height, kernel_width, in_channels))

void tinyml_train_conv_s8(const tinyml_train_linear_s8_op *op, const int8_t *x,
                          const int8_t *weights, const int32_t *bias, int8_t *y, void *scratch);

void tinyml_train_depthwise_s8(const tinyml_train_linear_s8_op *op, const int8_t *x,
                               const int8_t *weights, const int32_t *bias, int8_t *y);

/* The scratch holds biases that take in the input's zero point. */
#define TINYML_TRAIN_DENSE_S8_SCRATCH(out_channels) (4 * (out_channels))

void tinyml_train_dense_s8(const tinyml_train_linear_s8_op *op, const int8_t *x,
                           const int8_t *weights, const int32_t *bias, int8_t *y, void *scratch);

/* ---- Forward pass, float32 ------------------------------------------------------------------ */

/* Results are limited to act_min..act_max. */
typedef struct {
  tinyml_train_layer layer;
  float act_min;
  float act_max;
} tinyml_train_linear_f32_op;

/* Bias (0 for NULL), then taps row by row, for each channel by channel. */
void tinyml_train_conv_f32(const tinyml_train_linear_f32_op *op, const float *x,
                           const float *weights, const float *bias, float *y);
void tinyml_train_depthwise_f32(const tinyml_train_linear_f32_op *op, const float *x,
                                const float *weights, const float *bias, float *y);
void tinyml_train_dense_f32(const tinyml_train_linear_f32_op *op, const float *x,
                            const float *weights, const float *bias, float *y);

/* Four dimensions, the last one fastest, of which an operand takes steps of its own (0 along those
 * that it does not have). */
typedef struct {
  const int32_t *dims;    /* [4] */
  const int32_t *strides; /* [4] of the first operand */
  const int32_t *others;  /* [4] of the second */
  float act_min;
  float act_max;
} tinyml_train_add_f32_op;

void tinyml_train_add_f32(const tinyml_train_add_f32_op *op, const float *a, const float *b,
                          float *y);

typedef struct {
  int32_t count;
  float act_min;
  float act_max;
} tinyml_train_clamp_f32_op;

/* x within act_min..act_max; in place. */
void tinyml_train_clamp_f32(const tinyml_train_clamp_f32_op *op, const float *x, float *y);

/* The mean over the window, pixels of the map only; the layer is depthwise with a multiplier of 1.
 */
void tinyml_train_avg_pool_f32(const tinyml_train_linear_f32_op *op, const float *x, float *y);

typedef struct {
  const int32_t *kept;         /* [4]: dimensions that stay */
  const int32_t *kept_strides; /* [4] in x */
  const int32_t *axes;         /* [4]: dimensions to be averaged over, the last one fastest */
  const int32_t *axes_strides; /* [4] in x */
  float factor;                /* 1 / count */
  float act_min;
  float act_max;
} tinyml_train_mean_f32_op;

void tinyml_train_mean_f32(const tinyml_train_mean_f32_op *op, const float *x, float *y);

typedef struct {
  int32_t rows;
  int32_t count; /* of a row */
} tinyml_train_softmax_f32_op;

void tinyml_train_softmax_f32(const tinyml_train_softmax_f32_op *op, const float *x, float *y);

/* ---- Copies, of either precision ------------------------------------------------------------ */

/* `rows` pieces of `bytes`, from where one map has them to where another has them. Channels that
 * are saved, parts of a concatenation and their gradients, new shapes. In place where nothing
 * moves. */
typedef struct {
  int32_t rows;
  int32_t bytes;
  int32_t from_offset;
  int32_t from_stride;
  int32_t to_offset;
  int32_t to_stride;
} tinyml_train_copy_op;

void tinyml_train_copy(const tinyml_train_copy_op *op, const void *from, void *to);

/* ---- What is saved for the backward pass ---------------------------------------------------- */

/* Sums over patches of the first `channels`; int8: means, rounded halves away from zero. */
typedef struct {
  tinyml_train_patches patches; /* its channels are those that are saved */
  int32_t in_channels;
  int32_t zero_point; /* int8: of a patch without pixels */
} tinyml_train_save_pooled_op;

void tinyml_train_save_pooled_s8(const tinyml_train_save_pooled_op *op, const int8_t *x,
                                 int8_t *saved);
void tinyml_train_save_pooled_f32(const tinyml_train_save_pooled_op *op, const float *x,
                                  float *saved);

/* Which of `count` elements lie in the open interval: low < y < high. */
typedef struct {
  int32_t count;
  int32_t low;
  int32_t high;
} tinyml_train_mask_s8_op;

typedef struct {
  int32_t count;
  float low;
  float high;
} tinyml_train_mask_f32_op;

/* As bits, the lowest one first; those beyond the last element are 0. */
void tinyml_train_save_mask_s8(const tinyml_train_mask_s8_op *op, const int8_t *y, uint8_t *mask);
void tinyml_train_save_mask_f32(const tinyml_train_mask_f32_op *op, const float *y, uint8_t *mask);

/* For every patch and channel how many. */
typedef struct {
  tinyml_train_patches patches;
  int32_t low;
  int32_t high;
} tinyml_train_share_s8_op;

typedef struct {
  tinyml_train_patches patches;
  float low;
  float high;
} tinyml_train_share_f32_op;

void tinyml_train_save_share_s8(const tinyml_train_share_s8_op *op, const int8_t *y,
                                uint8_t *share);
void tinyml_train_save_share_f32(const tinyml_train_share_f32_op *op, const float *y,
                                 uint8_t *share);

/* ---- Losses --------------------------------------------------------------------------------- */

/* int8 values stand for scale * (q - zero_point). */
typedef struct {
  int32_t count;
  float scale;
  int32_t zero_point;
  float gradient_factor; /* squared error: float(2 / count) */
  float loss_factor;     /* squared error: float(1 / count) */
} tinyml_train_loss_op;

/* `label`: one number, 0 <= *label < count, which the caller has checked. `loss`: one number. */
void tinyml_train_cross_entropy_s8(const tinyml_train_loss_op *op, const int8_t *logits,
                                   const int32_t *label, float *gradient, float *loss);
void tinyml_train_cross_entropy_f32(const tinyml_train_loss_op *op, const float *logits,
                                    const int32_t *label, float *gradient, float *loss);
void tinyml_train_mse_s8(const tinyml_train_loss_op *op, const int8_t *y, const float *target,
                         float *gradient, float *loss);
void tinyml_train_mse_f32(const tinyml_train_loss_op *op, const float *y, const float *target,
                          float *gradient, float *loss);

/* ---- Gradients that stop or change shape ---------------------------------------------------- */

typedef struct {
  int32_t count;
} tinyml_train_count_op;

/* The gradient becomes 0 where the bit is 0, or the value lies outside of low..high. */
void tinyml_train_mask_bits(const tinyml_train_count_op *op, const uint8_t *mask, float *gradient);
void tinyml_train_mask_value_s8(const tinyml_train_mask_s8_op *op, const int8_t *y,
                                float *gradient);
void tinyml_train_mask_value_f32(const tinyml_train_mask_f32_op *op, const float *y,
                                 float *gradient);

/* inverses[n] is float(factor / n) for a patch of n pixels; 0 for n = 0. */
typedef struct {
  tinyml_train_patches patches;
  const float *inverses;
} tinyml_train_pool_op;

/* Sums over patches, times the inverse of their pixels. */
void tinyml_train_pool_f32(const tinyml_train_pool_op *op, const float *gradient, float *g);

/* dX * (active * inverse): `active` says how many pixels of a patch, in bytes, or which, in bits of
 * the map. In place. */
void tinyml_train_pool_share_f32(const tinyml_train_pool_op *op, const float *dx,
                                 const uint8_t *active, float *g);
void tinyml_train_pool_share_bits_f32(const tinyml_train_pool_op *op, const float *dx,
                                      const uint8_t *active, float *g);

typedef struct {
  int32_t count;
  float factor;
} tinyml_train_scale_op;

/* dX * factor; in place. */
void tinyml_train_scale_f32(const tinyml_train_scale_op *op, const float *dx, float *g);

/* Every pixel gets the value of its patch, 0 if it has none. */
void tinyml_train_spread_f32(const tinyml_train_patches *op, const float *patches, float *dx);

void tinyml_train_accumulate(const tinyml_train_count_op *op, const float *more, float *gradient);

/* To every pixel the gradients of the windows that hold it, times 1 / their pixels; the layer is
 * depthwise with a multiplier of 1. */
void tinyml_train_avg_pool_grad(const tinyml_train_layer *op, const float *gradient, float *dx);

typedef struct {
  const int32_t *dims;    /* [4] of dx */
  const int32_t *strides; /* [4] in the gradient, 0 along dimensions averaged over */
  float factor;           /* 1 / count */
} tinyml_train_mean_grad_op;

void tinyml_train_mean_grad(const tinyml_train_mean_grad_op *op, const float *gradient, float *dx);

/* ---- Gradients of inputs -------------------------------------------------------------------- */

/* scales: of the weights, one for each output channel; int8 only. The filtered kernels serve layers
 * each of whose places meets one of the input: patches, rows of a dense layer, and pixels where a
 * kernel is 1x1. */
typedef struct {
  tinyml_train_layer layer;
  int32_t places; /* of all images; filtered kernels only */
  int32_t weights_zero_point;
  const float *scales;
} tinyml_train_input_grad_op;

void tinyml_train_input_grad_conv_s8(const tinyml_train_input_grad_op *op, const float *g,
                                     const int8_t *weights, float *dx);
void tinyml_train_input_grad_conv_f32(const tinyml_train_input_grad_op *op, const float *g,
                                      const float *weights, float *dx);
void tinyml_train_input_grad_depthwise_s8(const tinyml_train_input_grad_op *op, const float *g,
                                          const int8_t *weights, float *dx);
void tinyml_train_input_grad_depthwise_f32(const tinyml_train_input_grad_op *op, const float *g,
                                           const float *weights, float *dx);
void tinyml_train_input_grad_filtered_s8(const tinyml_train_input_grad_op *op, const float *g,
                                         const int8_t *weights, float *dx);
void tinyml_train_input_grad_filtered_f32(const tinyml_train_input_grad_op *op, const float *g,
                                          const float *weights, float *dx);
void tinyml_train_input_grad_depthwise_filtered_s8(const tinyml_train_input_grad_op *op,
                                                   const float *g, const int8_t *weights,
                                                   float *dx);
void tinyml_train_input_grad_depthwise_filtered_f32(const tinyml_train_input_grad_op *op,
                                                    const float *g, const float *weights,
                                                    float *dx);

/* ---- Updates -------------------------------------------------------------------------------- */

/* A parameter: its number, how far it reaches (int8), and by which factors its gradients are
 * multiplied, one for each output channel (int8). */
typedef struct {
  uint32_t ordinal;
  int32_t limit;
  const float *factors;
} tinyml_train_parameter;

/* Sums of gradients over places, each times `pixels` of its patch (NULL: 1). */
typedef struct {
  tinyml_train_parameter parameter;
  int32_t images;
  int32_t places; /* of an image */
  int32_t channels;
  const int32_t *pixels; /* [places] */
} tinyml_train_update_bias_op;

/* `momentum` is NULL where nothing is remembered, here and below. */
void tinyml_train_update_bias_s8(const tinyml_train_update_bias_op *op, const float *gradient,
                                 int32_t *bias, float *momentum, const tinyml_train_sample *sample);
void tinyml_train_update_bias_f32(const tinyml_train_update_bias_op *op, const float *gradient,
                                  float *bias, float *momentum, const tinyml_train_sample *sample);

/* The same, each times its active pixels: in bytes, or in the bits of the map. */
typedef struct {
  tinyml_train_parameter parameter;
  tinyml_train_patches patches;
  int32_t bits; /* 1: `active` is bits of the map, 0: bytes of patches */
} tinyml_train_update_bias_share_op;

void tinyml_train_update_bias_share_s8(const tinyml_train_update_bias_share_op *op, const float *dx,
                                       const uint8_t *active, int32_t *bias, float *momentum,
                                       const tinyml_train_sample *sample);
void tinyml_train_update_bias_share_f32(const tinyml_train_update_bias_share_op *op,
                                        const float *dx, const uint8_t *active, float *bias,
                                        float *momentum, const tinyml_train_sample *sample);

/* x has the first `channels` of the input, whose weights learn. int8: x stands for x -
 * x_zero_point, times `pixels` of its patch in a filtered layer. */
typedef struct {
  tinyml_train_parameter parameter;
  tinyml_train_layer layer;
  int32_t channels;
  int32_t x_zero_point;
  int32_t images;
  int32_t places;        /* of an image; filtered kernels only */
  const int32_t *pixels; /* [places]; NULL but for int8 filtered layers */
} tinyml_train_update_op;

void tinyml_train_update_conv_s8(const tinyml_train_update_op *op, const float *g, const int8_t *x,
                                 int8_t *weights, float *momentum,
                                 const tinyml_train_sample *sample);
void tinyml_train_update_conv_f32(const tinyml_train_update_op *op, const float *g, const float *x,
                                  float *weights, float *momentum,
                                  const tinyml_train_sample *sample);
void tinyml_train_update_depthwise_s8(const tinyml_train_update_op *op, const float *g,
                                      const int8_t *x, int8_t *weights, float *momentum,
                                      const tinyml_train_sample *sample);
void tinyml_train_update_depthwise_f32(const tinyml_train_update_op *op, const float *g,
                                       const float *x, float *weights, float *momentum,
                                       const tinyml_train_sample *sample);
void tinyml_train_update_filtered_s8(const tinyml_train_update_op *op, const float *g,
                                     const int8_t *x, int8_t *weights, float *momentum,
                                     const tinyml_train_sample *sample);
void tinyml_train_update_filtered_f32(const tinyml_train_update_op *op, const float *g,
                                      const float *x, float *weights, float *momentum,
                                      const tinyml_train_sample *sample);
void tinyml_train_update_depthwise_filtered_s8(const tinyml_train_update_op *op, const float *g,
                                               const int8_t *x, int8_t *weights, float *momentum,
                                               const tinyml_train_sample *sample);
void tinyml_train_update_depthwise_filtered_f32(const tinyml_train_update_op *op, const float *g,
                                                const float *x, float *weights, float *momentum,
                                                const tinyml_train_sample *sample);

#ifdef __cplusplus
}
#endif

#endif
