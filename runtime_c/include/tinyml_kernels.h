/* tinyml: the kernels.
 *
 * Activations are NHWC and addressed as bytes; wider elements are aligned to their size. Op structs
 * and their tables are constants in flash. Quantised kernels compute what TFLite Micro computes,
 * bit for bit. No kernel allocates, keeps state or calls libm. Sizes are counted in elements unless
 * a name says bytes.
 *
 * Loop styles:
 *  - rows: one call computes one output row, from an array of row pointers per input (inputs one
 *    after the other). NULL is a row of padding. The span says how wide the rows are.
 *  - accumulate: `_begin`, then `_row` for every input row, then `_end`; acc is the scratch.
 *  - whole: one call computes whole tensors.
 *
 * A kernel whose name ends with that of an instruction set (mve, neon) and that is declared next to
 * one without computes the same, for cores that have it.
 *
 * Kernels marked "in place" allow `out` to start at the same byte as an input that has the
 * output's shape; otherwise inputs and outputs do not overlap.
 */
#ifndef TINYML_KERNELS_H
#define TINYML_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "tinyml_flash.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Horizontal geometry of one call, in pixels. Pixel 0 of the first window lies pad_left pixels left
 * of the row's first pixel; what lies right of in_width is padding, too. */
typedef struct {
  int32_t in_width;
  int32_t out_width;
  int32_t pad_left;
} tinyml_span;

/* real multiplier = multiplier * 2^(shift - 31); multiplier >= 0, shift in -31..30 */
typedef struct {
  int32_t multiplier;
  int32_t shift;
} tinyml_scale;

/* ---- Convolutions and dense layers ---------------------------------------------------------- */

/* How sums become outputs. With h the upper half of ((sum << left) + bias) * multiplier:
 *  - line: h >> shift; the zero point is in the biases;
 *  - bent: ((h - (h < 0) * 2^(left - 1) >> shift) + 2 * output_zero_point + 1) >> 1;
 *  - exact: sum + bias, rescaled by multiplier * 2^(shift - 31) with gemmlowp's two roundings, and
 *    the zero point. Of the others, which are much quicker, tinyml/kernels/quick.py makes sure that
 *    they give the same for every sum that can occur. */
#define TINYML_RESCALE_EXACT 0
#define TINYML_RESCALE_LINE 1
#define TINYML_RESCALE_BENT 2

/* The filters of a convolution or dense layer, one for each output channel, and what becomes of its
 * sums: rescaled, and clamped to act_min..act_max. channels: TINYML_CHANNEL_WORDS for each, its
 * bias, multiplier and shift. */
typedef struct {
  int32_t out_channels;
  int32_t output_zero_point;
  int32_t act_min;
  int32_t act_max;
  int32_t rescale; /* TINYML_RESCALE_... */
  int32_t left;
  const TINYML_FLASH int8_t *weights;
  const TINYML_FLASH int32_t *channels;
} tinyml_filters;

#define TINYML_CHANNEL_WORDS 3

/* Elements of a vector that filters are applied to, at most one less. */
#define TINYML_FILTERS_ELEMENTS 131072

/* The windows of a convolution. */
typedef struct {
  int32_t in_channels;
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_x;
  int32_t dilation_x;
  int32_t input_zero_point;
} tinyml_conv_window;

/* Convolution, int8, rows (rows[kernel_height]). weights: OHWI, in fours of filters (see
 * tinyml_filters.h); biases: less input_zero_point * sum(weights). The scratch holds the windows of
 * two pixels. */
typedef struct {
  tinyml_conv_window window;
  tinyml_filters filters;
} tinyml_conv_s8_op;

#define TINYML_CONV_S8_SCRATCH(kernel_height, kernel_width, in_channels) \
  (2 * (kernel_height) * (kernel_width) * (in_channels))

void tinyml_conv_s8(const tinyml_conv_s8_op *op, const tinyml_span *span, const int8_t *const *rows,
                    int8_t *out, void *scratch);

/* Convolution with a 1x1 kernel and no padding, int8, rows (rows[1]); otherwise as above. */
typedef struct {
  int32_t in_channels;
  int32_t stride_x;
  tinyml_filters filters;
} tinyml_conv_1x1_s8_op;

void tinyml_conv_1x1_s8(const tinyml_conv_1x1_s8_op *op, const tinyml_span *span,
                        const int8_t *const *rows, int8_t *out);

/* The same two on cores whose widest product has 32 bits. weights: each plus 128, each row of a
 * window with a zero if its elements are odd in number, in fours of filters. The scratch holds
 * three words for each two elements of the windows of two pixels, and a row of these. */
#define TINYML_CONV_S8_MUL32_SCRATCH(kernel_height, kernel_width, in_channels) \
  (12 * (kernel_height) * (((kernel_width) * (in_channels) + 1) / 2) +         \
   2 * (kernel_width) * (in_channels))

void tinyml_conv_s8_mul32(const tinyml_conv_s8_op *op, const tinyml_span *span,
                          const int8_t *const *rows, int8_t *out, void *scratch);

#define TINYML_CONV_1X1_S8_MUL32_SCRATCH(in_channels) (12 * (((in_channels) + 1) / 2))

void tinyml_conv_1x1_s8_mul32(const tinyml_conv_1x1_s8_op *op, const tinyml_span *span,
                              const int8_t *const *rows, int8_t *out, void *scratch);

/* Transposed convolution, int8, rows (rows[kernel_height]): row i of the kernel lies on rows[i],
 * NULL where no input row does. weights: OHWI; biases may be NULL. */
typedef struct {
  int32_t in_channels;
  int32_t out_channels;
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_x;
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t act_min;
  int32_t act_max;
  const TINYML_FLASH int8_t *weights;
  const TINYML_FLASH int32_t *biases;
  const TINYML_FLASH int32_t *multipliers;
  const TINYML_FLASH int32_t *shifts;
} tinyml_transpose_conv_s8_op;

void tinyml_transpose_conv_s8(const tinyml_transpose_conv_s8_op *op, const tinyml_span *span,
                              const int8_t *const *rows, int8_t *out);

/* Products of matrices, int8, whole: TINYML_BATCH_MATMUL_RANK outer dimensions with the operands'
 * strides along them (0: the same matrix again), then rows by columns of sums over depth. */
#define TINYML_BATCH_MATMUL_RANK 3
typedef struct {
  const TINYML_FLASH int32_t *sizes;
  const TINYML_FLASH int32_t *a_strides;
  const TINYML_FLASH int32_t *b_strides;
  int32_t rows;
  int32_t columns;
  int32_t depth;
  int32_t a_row_stride;
  int32_t a_depth_stride;
  int32_t b_column_stride;
  int32_t b_depth_stride;
  int32_t a_zero_point;
  int32_t b_zero_point;
  int32_t output_zero_point;
  tinyml_scale output;
} tinyml_batch_matmul_s8_op;

void tinyml_batch_matmul_s8(const tinyml_batch_matmul_s8_op *op, const int8_t *a, const int8_t *b,
                            int8_t *out);

/* What becomes of sums in the kernels for cores with the DSP extension. */
typedef struct {
  int32_t channels;
  int32_t zero_point;
  int32_t act_min;
  int32_t act_max;
  int32_t exact; /* 1: scales are in the form that serves all, not in the one that is quick */
} tinyml_dsp_outputs;

/* Scales of those kernels: a multiplier is doubled, modulo 2^32, and beside it stands a byte, which
 * is -shift - 1; multipliers are 2^30 at least and shifts negative. With `exact` both may be any,
 * and the byte is shift + TINYML_DSP_EXACT. */
#define TINYML_DSP_EXACT 32

/* The filters of those kernels, otherwise as above.
 *
 * pairs: for each pair of channels (an odd last one is a pair with itself) its two biases; its
 * weights, filled up to whole words with zeros, four of the one and four of the other by turns; its
 * two multipliers; and a word of their two bytes and, in the upper half, 2 * zero_point + 1. */
typedef struct {
  tinyml_dsp_outputs out;
  const int32_t *pairs;
} tinyml_dsp_filters;

/* tinyml_conv_s8. Where pixels are not whole words, the words of all rows of a filter come first,
 * then the rests of all rows together. The scratch holds the windows of two pixels, widened to 16
 * bits; with such pixels also a row of both. */
typedef struct {
  tinyml_conv_window window;
  tinyml_dsp_filters filters;
} tinyml_conv_s8_dsp_op;

#define TINYML_CONV_S8_DSP_SCRATCH(kernel_height, kernel_width, in_channels) \
  (16 * (((kernel_height) * (kernel_width) * (in_channels) + 3) / 4) +       \
   ((in_channels) % 4 == 0 ? 0 : 2 * (kernel_width) * (in_channels)))

void tinyml_conv_s8_dsp(const tinyml_conv_s8_dsp_op *op, const tinyml_span *span,
                        const int8_t *const *rows, int8_t *out, void *scratch);

/* The same with a kernel_width of 3, a stride_x and a dilation_x of 1, in_channels in whole words,
 * and quick scales. Of each row of a filter, its three taps of the first four channels come first,
 * then those of the next. The scratch holds four columns, widened to 16 bits. */
#define TINYML_CONV_W3_S8_DSP_SCRATCH(kernel_height, kernel_width, in_channels) \
  (8 * (kernel_height) * (in_channels))

void tinyml_conv_w3_s8_dsp(const tinyml_conv_s8_dsp_op *op, const tinyml_span *span,
                           const int8_t *const *rows, int8_t *out, void *scratch);

/* tinyml_conv_1x1_s8; the scratch holds two pixels, widened to 16 bits. */
typedef struct {
  int32_t in_channels;
  int32_t stride_x;
  tinyml_dsp_filters filters;
} tinyml_conv_1x1_s8_dsp_op;

#define TINYML_CONV_1X1_S8_DSP_SCRATCH(in_channels) (16 * (((in_channels) + 3) / 4))

void tinyml_conv_1x1_s8_dsp(const tinyml_conv_1x1_s8_dsp_op *op, const tinyml_span *span,
                            const int8_t *const *rows, int8_t *out, void *scratch);

/* The filters of the kernels for cores with Helium, otherwise as above.
 *
 * blocks: for each four channels, zeros in place of those that are none: their weights, filled up
 * with zeros to whole steps of 16, 16 of each channel by turns; their four biases; their four
 * multipliers; the four shifts to the right, negated; and, where `exact`, the four to the left.
 * exact is 0 where no channel shifts to the left and act_min is not below output_zero_point. */
typedef struct {
  int32_t out_channels;
  int32_t output_zero_point;
  int32_t act_min;
  int32_t act_max;
  int32_t exact; /* 0 or 1 */
  const int32_t *blocks;
} tinyml_mve_filters;

/* tinyml_conv_s8; the scratch holds the windows of two pixels, in whole steps. */
typedef struct {
  tinyml_conv_window window;
  tinyml_mve_filters filters;
} tinyml_conv_s8_mve_op;

#define TINYML_CONV_S8_MVE_SCRATCH(kernel_height, kernel_width, in_channels) \
  (32 * (((kernel_height) * (kernel_width) * (in_channels) + 15) / 16))

void tinyml_conv_s8_mve(const tinyml_conv_s8_mve_op *op, const tinyml_span *span,
                        const int8_t *const *rows, int8_t *out, void *scratch);

/* tinyml_conv_1x1_s8 */
typedef struct {
  int32_t in_channels;
  int32_t stride_x;
  tinyml_mve_filters filters;
} tinyml_conv_1x1_s8_mve_op;

void tinyml_conv_1x1_s8_mve(const tinyml_conv_1x1_s8_mve_op *op, const tinyml_span *span,
                            const int8_t *const *rows, int8_t *out);

/* The filters of the kernels for NEON, otherwise as above.
 *
 * blocks: for each four channels, zeros in place of those that are none: their four biases; their
 * four multipliers; the negative parts of their shifts, and the positive ones; and their weights,
 * piece by piece: of a piece of n elements the whole steps of 16, then the last 16, if n is no
 * multiple, with zeros in place of what has been before; of less than 16 these and zeros. Of each
 * step 16 of each channel by turns; in kernels for the dot product instructions, four of each by
 * turns. No weight is -128, but for these. */
typedef struct {
  int32_t out_channels;
  int32_t output_zero_point;
  int32_t act_min;
  int32_t act_max;
  const int32_t *blocks;
} tinyml_neon_filters;

/* tinyml_conv_s8. The pieces of a filter are its rows (by_rows: only if these have 16 elements or
 * more, and no dilation), or else all of it. The scratch holds the windows of four pixels. */
typedef struct {
  tinyml_conv_window window;
  int32_t by_rows; /* 0 or 1 */
  tinyml_neon_filters filters;
} tinyml_conv_s8_neon_op;

#define TINYML_CONV_S8_NEON_SCRATCH(kernel_height, kernel_width, in_channels) \
  (4 * (kernel_height) * (kernel_width) * (in_channels))

void tinyml_conv_s8_neon(const tinyml_conv_s8_neon_op *op, const tinyml_span *span,
                         const int8_t *const *rows, int8_t *out, void *scratch);
void tinyml_conv_s8_dotprod(const tinyml_conv_s8_neon_op *op, const tinyml_span *span,
                            const int8_t *const *rows, int8_t *out, void *scratch);

/* tinyml_conv_1x1_s8; a filter is one piece */
typedef struct {
  int32_t in_channels;
  int32_t stride_x;
  tinyml_neon_filters filters;
} tinyml_conv_1x1_s8_neon_op;

void tinyml_conv_1x1_s8_neon(const tinyml_conv_1x1_s8_neon_op *op, const tinyml_span *span,
                             const int8_t *const *rows, int8_t *out);
void tinyml_conv_1x1_s8_dotprod(const tinyml_conv_1x1_s8_neon_op *op, const tinyml_span *span,
                                const int8_t *const *rows, int8_t *out);

/* Depthwise convolution, int8, rows (rows[kernel_height]). Output channel c reads input channel
 * c / depth_multiplier. weights: 1HWC; biases as they are. */
typedef struct {
  int32_t depth_multiplier;
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_x;
  int32_t dilation_x;
  int32_t input_zero_point;
  tinyml_filters filters;
} tinyml_depthwise_conv_s8_op;

void tinyml_depthwise_conv_s8(const tinyml_depthwise_conv_s8_op *op, const tinyml_span *span,
                              const int8_t *const *rows, int8_t *out);

/* The same with a square kernel, no dilation, a stride_x of 1 or 2, and one output channel for each
 * input channel. weights: CHW; biases: less input_zero_point * sum(weights). */
typedef struct {
  int32_t stride_x;
  int32_t input_zero_point;
  tinyml_filters filters;
} tinyml_depthwise_conv_square_s8_op;

void tinyml_depthwise_conv_3x3_s8(const tinyml_depthwise_conv_square_s8_op *op,
                                  const tinyml_span *span, const int8_t *const *rows, int8_t *out);
void tinyml_depthwise_conv_5x5_s8(const tinyml_depthwise_conv_square_s8_op *op,
                                  const tinyml_span *span, const int8_t *const *rows, int8_t *out);
void tinyml_depthwise_conv_7x7_s8(const tinyml_depthwise_conv_square_s8_op *op,
                                  const tinyml_span *span, const int8_t *const *rows, int8_t *out);

/* The same on cores with the DSP extension, for four channels or more, four (a quad) at a time;
 * where the number of channels is no multiple of four the last quad is that of the last four.
 *
 * quads: for each quad its four biases (less input_zero_point * sum(weights)); its weights, column
 * by column, for each two rows a and b two words with the bytes (a0, a1, b0, b1) and (a2, a3, b2,
 * b3), for the last row one with (c0, c1, c2, c3), where 0..3 are the channels; its four
 * multipliers; and a word with a byte for each channel, -shift - 1, where all shifts are negative
 * and no sum can overflow, doubled. Elsewhere these bytes are shift + TINYML_DSP_EXACT, and the
 * word is negative. */
typedef struct {
  int32_t stride_x;
  int32_t input_zero_point;
  int32_t channels;
  int32_t output_zero_point;
  int32_t act_min;
  int32_t act_max;
  const int32_t *quads;
} tinyml_depthwise_conv_square_s8_dsp_op;

void tinyml_depthwise_conv_3x3_s8_dsp(const tinyml_depthwise_conv_square_s8_dsp_op *op,
                                      const tinyml_span *span, const int8_t *const *rows,
                                      int8_t *out);
void tinyml_depthwise_conv_5x5_s8_dsp(const tinyml_depthwise_conv_square_s8_dsp_op *op,
                                      const tinyml_span *span, const int8_t *const *rows,
                                      int8_t *out);
void tinyml_depthwise_conv_7x7_s8_dsp(const tinyml_depthwise_conv_square_s8_dsp_op *op,
                                      const tinyml_span *span, const int8_t *const *rows,
                                      int8_t *out);

/* Depthwise convolution with a kernel of 3x3, a stride_x of 1 or 2, no dilation and one output
 * channel for each input channel, for cores with Helium.
 *
 * filters.blocks: for each channel its bias, less input_zero_point * sum(weights); its multiplier;
 * a word of the shift to the right, negated, the one to the left, and whether there is one to the
 * right, a byte each; a zero; its weights, a word for each column; and a zero. The scratch holds
 * the columns that so many output pixels see, of sixteen channels. */
typedef struct {
  int32_t stride_x;
  int32_t input_zero_point;
  int32_t pixels; /* computed together: a multiple of 4, 24 at most */
  tinyml_mve_filters filters;
} tinyml_depthwise_conv_3x3_s8_mve_op;

#define TINYML_DEPTHWISE_CONV_3X3_S8_MVE_SCRATCH(stride_x, pixels) \
  (64 * (((pixels)-1) * (stride_x) + 3))

void tinyml_depthwise_conv_3x3_s8_mve(const tinyml_depthwise_conv_3x3_s8_mve_op *op,
                                      const tinyml_span *span, const int8_t *const *rows,
                                      int8_t *out, void *scratch);

/* The same with any kernel, stride and dilation within the limits below.
 *
 * The window of a channel is read as words of four rows, column by column, filled up to vectors of
 * four words. offsets: where each word is in the scratch from the first on. filters.blocks: for
 * each channel its weights, the bytes of the words, with zeros where there is no row or column; and
 * four words as above, without the others. The scratch holds the columns that so many output pixels
 * see of sixteen channels. */
typedef struct {
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_x;
  int32_t dilation_x;
  int32_t input_zero_point;
  int32_t pixels; /* computed together, 8 or 16 */
  const int32_t *offsets;
  tinyml_mve_filters filters;
} tinyml_depthwise_conv_s8_mve_op;

#define TINYML_DEPTHWISE_MVE_CHANNELS 9362 /* the distance of eight pixels fits 16 bits */
#define TINYML_DEPTHWISE_MVE_HEIGHT 8      /* of the kernel */
#define TINYML_DEPTHWISE_MVE_STRIDE 2
#define TINYML_DEPTHWISE_MVE_COLUMNS(kernel_width, stride_x, dilation_x, pixels) \
  ((pixels) + ((kernel_width)-1) * (dilation_x) / (stride_x))
#define TINYML_DEPTHWISE_CONV_S8_MVE_SCRATCH(kernel_height, kernel_width, stride_x, dilation_x, \
                                             pixels)                                            \
  (64 * (((kernel_height) + 3) / 4) *                                                           \
   (stride_x)*TINYML_DEPTHWISE_MVE_COLUMNS(kernel_width, stride_x, dilation_x, pixels))

void tinyml_depthwise_conv_s8_mve(const tinyml_depthwise_conv_s8_mve_op *op,
                                  const tinyml_span *span, const int8_t *const *rows, int8_t *out,
                                  void *scratch);

/* tinyml_depthwise_conv_s8 with NEON, with one output channel for each input channel, of which
 * there are 16 or more.
 *
 * filters.blocks: for each 16 channels (the last of them in the last block, where they are no
 * multiple of 16) their biases (less input_zero_point * sum(weights)), multipliers, and shifts, the
 * negative and the positive ones; and tap by tap their weights, none of which is -128. The scratch
 * holds a pointer for each tap and a pixel. */
typedef struct {
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_x;
  int32_t dilation_x;
  int32_t input_zero_point;
  tinyml_neon_filters filters;
} tinyml_depthwise_conv_s8_neon_op;

#define TINYML_DEPTHWISE_CONV_S8_NEON_SCRATCH(kernel_height, kernel_width, channels) \
  (8 * (kernel_height) * (kernel_width) + (channels))

void tinyml_depthwise_conv_s8_neon(const tinyml_depthwise_conv_s8_neon_op *op,
                                   const tinyml_span *span, const int8_t *const *rows, int8_t *out,
                                   void *scratch);

/* The same with a kernel of 3x3 and no dilation. There may be 8 to 15 channels: then a block is
 * that of eight (the last block that of the last eight), twice. */
typedef struct {
  int32_t stride_x;
  int32_t input_zero_point;
  tinyml_neon_filters filters;
} tinyml_depthwise_conv_3x3_s8_neon_op;

void tinyml_depthwise_conv_3x3_s8_neon(const tinyml_depthwise_conv_3x3_s8_neon_op *op,
                                       const tinyml_span *span, const int8_t *const *rows,
                                       int8_t *out);

/* Fully connected, int8, rows (rows[1]: in_features elements; the span does not matter). weights:
 * [out_channels, in_features], in fours of filters; biases: less input_zero_point * sum(weights -
 * weights_zero_point). */
typedef struct {
  int32_t in_features;
  int32_t weights_zero_point;
  tinyml_filters filters;
} tinyml_fully_connected_s8_op;

void tinyml_fully_connected_s8(const tinyml_fully_connected_s8_op *op, const tinyml_span *span,
                               const int8_t *const *rows, int8_t *out);

/* The same.
 *
 * fours: for each four channels, filled up with zeros, their biases, and their weights, filled up
 * to whole words with zeros, four of each by turns; scales: for each four channels, scale_step
 * words apart (0: all alike), their multipliers and a word of their bytes. */
typedef struct {
  int32_t in_features;
  int32_t weights_zero_point; /* 0 unless out.exact */
  tinyml_dsp_outputs out;
  const int32_t *fours;
  const int32_t *scales;
  int32_t scale_step;
} tinyml_fully_connected_s8_dsp_op;

void tinyml_fully_connected_s8_dsp(const tinyml_fully_connected_s8_dsp_op *op,
                                   const tinyml_span *span, const int8_t *const *rows, int8_t *out);

/* The same for cores with Helium. */
typedef struct {
  int32_t in_features;
  int32_t weights_zero_point;
  tinyml_mve_filters filters;
} tinyml_fully_connected_s8_mve_op;

void tinyml_fully_connected_s8_mve(const tinyml_fully_connected_s8_mve_op *op,
                                   const tinyml_span *span, const int8_t *const *rows, int8_t *out);

/* The same with NEON; a filter is one piece, weights have no zero point. */
typedef struct {
  int32_t in_features;
  tinyml_neon_filters filters;
} tinyml_fully_connected_s8_neon_op;

void tinyml_fully_connected_s8_neon(const tinyml_fully_connected_s8_neon_op *op,
                                    const tinyml_span *span, const int8_t *const *rows,
                                    int8_t *out);
void tinyml_fully_connected_s8_dotprod(const tinyml_fully_connected_s8_neon_op *op,
                                       const tinyml_span *span, const int8_t *const *rows,
                                       int8_t *out);

/* ---- Pools ---------------------------------------------------------------------------------- */

/* Window of a pool, rows (rows[filter_height]); padding takes no part. */
typedef struct {
  int32_t channels;
  int32_t filter_height;
  int32_t filter_width;
  int32_t stride_x;
  int32_t act_min;
  int32_t act_max;
} tinyml_pool_s8_op;

/* Mean of the window's elements inside the map, rounded half away from zero; there is at least
 * one. */
void tinyml_avg_pool_s8(const tinyml_pool_s8_op *op, const tinyml_span *span,
                        const int8_t *const *rows, int8_t *out);
void tinyml_avg_pool_s8_mve(const tinyml_pool_s8_op *op, const tinyml_span *span,
                            const int8_t *const *rows, int8_t *out);
void tinyml_avg_pool_s8_neon(const tinyml_pool_s8_op *op, const tinyml_span *span,
                             const int8_t *const *rows, int8_t *out);

/* The same where one window is the whole map: rows one by one, accumulated. acc:
 * TINYML_AVG_POOL_MAP_S8_SCRATCH bytes. */
typedef struct {
  int32_t width;
  int32_t channels;
  int32_t count; /* height * width */
  int32_t act_min;
  int32_t act_max;
} tinyml_avg_pool_map_s8_op;

#define TINYML_AVG_POOL_MAP_S8_SCRATCH(channels) (4 * (channels))

void tinyml_avg_pool_map_s8_begin(const tinyml_avg_pool_map_s8_op *op, int32_t *acc);
void tinyml_avg_pool_map_s8_row(const tinyml_avg_pool_map_s8_op *op, const int8_t *row,
                                int32_t *acc);
void tinyml_avg_pool_map_s8_end(const tinyml_avg_pool_map_s8_op *op, const int32_t *acc,
                                int8_t *out);
void tinyml_avg_pool_map_s8_mve_begin(const tinyml_avg_pool_map_s8_op *op, int32_t *acc);
void tinyml_avg_pool_map_s8_mve_row(const tinyml_avg_pool_map_s8_op *op, const int8_t *row,
                                    int32_t *acc);
void tinyml_avg_pool_map_s8_mve_end(const tinyml_avg_pool_map_s8_op *op, const int32_t *acc,
                                    int8_t *out);
void tinyml_avg_pool_map_s8_neon_begin(const tinyml_avg_pool_map_s8_op *op, int32_t *acc);
void tinyml_avg_pool_map_s8_neon_row(const tinyml_avg_pool_map_s8_op *op, const int8_t *row,
                                     int32_t *acc);
void tinyml_avg_pool_map_s8_neon_end(const tinyml_avg_pool_map_s8_op *op, const int32_t *acc,
                                     int8_t *out);

/* Maximum of the window's elements inside the map. */
void tinyml_max_pool_s8(const tinyml_pool_s8_op *op, const tinyml_span *span,
                        const int8_t *const *rows, int8_t *out);
void tinyml_max_pool_s8_mve(const tinyml_pool_s8_op *op, const tinyml_span *span,
                            const int8_t *const *rows, int8_t *out);
void tinyml_max_pool_s8_neon(const tinyml_pool_s8_op *op, const tinyml_span *span,
                             const int8_t *const *rows, int8_t *out);

/* ---- Element-wise, two operands: rows (rows[2]: one row of a, one of b), in place ----------- */

/* How the operands broadcast in a row: the element of operand i for pixel x and channel c is
 * x * pixel_stride + c * channel_stride (a stride of 0 repeats). Rows broadcast by their pointers.
 */
typedef struct {
  int32_t channels;
  int32_t a_pixel_stride;
  int32_t a_channel_stride;
  int32_t b_pixel_stride;
  int32_t b_channel_stride;
} tinyml_broadcast;

/* a and b, less their zero points, times 2^left_shift, are rescaled, added or subtracted, and
 * rescaled once more. All shifts are <= 0. */
typedef struct {
  tinyml_broadcast shape;
  int32_t a_zero_point;
  int32_t b_zero_point;
  int32_t output_zero_point;
  int32_t left_shift;
  tinyml_scale a;
  tinyml_scale b;
  tinyml_scale output;
  int32_t act_min;
  int32_t act_max;
} tinyml_add_s8_op;

/* a + b */
void tinyml_add_s8(const tinyml_add_s8_op *op, const tinyml_span *span, const int8_t *const *rows,
                   int8_t *out);

/* The same with NEON, for operands of one shape */
void tinyml_add_s8_neon(const tinyml_add_s8_op *op, const tinyml_span *span,
                        const int8_t *const *rows, int8_t *out);

/* A scale in the quick form of the kernels for the DSP extension: see tinyml_dsp_outputs. */
typedef struct {
  int32_t multiplier;
  int32_t right;
} tinyml_dsp_scale;

/* a + b for cores with the DSP extension, without broadcasting. The operand of the larger scale,
 * rows[larger], is just halved. The left shift is 20; the zero points have it in them, that of
 * the larger 19. Where both scales are equal, those of the smaller are 0. */
typedef struct {
  int32_t channels;
  int32_t larger; /* 0 or 1 */
  int32_t larger_zero;
  int32_t smaller_zero;
  int32_t output_zero_point;
  tinyml_dsp_scale smaller;
  tinyml_dsp_scale output;
  int32_t act_min;
  int32_t act_max;
} tinyml_add_s8_dsp_op;

void tinyml_add_s8_dsp(const tinyml_add_s8_dsp_op *op, const tinyml_span *span,
                       const int8_t *const *rows, int8_t *out);

/* The same for operands of one shape, on cores with Helium */
void tinyml_add_s8_mve(const tinyml_add_s8_op *op, const tinyml_span *span,
                       const int8_t *const *rows, int8_t *out);

/* a - b */
void tinyml_sub_s8(const tinyml_add_s8_op *op, const tinyml_span *span, const int8_t *const *rows,
                   int8_t *out);

/* (a - b) * (a - b); output.shift <= 0 */
void tinyml_squared_difference_s8(const tinyml_add_s8_op *op, const tinyml_span *span,
                                  const int8_t *const *rows, int8_t *out);

/* Which of two numbers is larger, each shifted by left_shift and rescaled: one byte, `less`,
 * `equal` or `greater` as a is. */
typedef struct {
  tinyml_broadcast shape;
  int32_t a_zero_point;
  int32_t b_zero_point;
  int32_t left_shift;
  tinyml_scale a;
  tinyml_scale b;
  int32_t less;
  int32_t equal;
  int32_t greater;
} tinyml_compare_s8_op;

void tinyml_compare_s8(const tinyml_compare_s8_op *op, const tinyml_span *span,
                       const int8_t *const *rows, int8_t *out);

/* a * b, rescaled */
typedef struct {
  tinyml_broadcast shape;
  int32_t a_zero_point;
  int32_t b_zero_point;
  int32_t output_zero_point;
  tinyml_scale output;
  int32_t act_min;
  int32_t act_max;
} tinyml_mul_s8_op;

void tinyml_mul_s8(const tinyml_mul_s8_op *op, const tinyml_span *span, const int8_t *const *rows,
                   int8_t *out);
void tinyml_mul_s8_dsp(const tinyml_mul_s8_op *op, const tinyml_span *span,
                       const int8_t *const *rows, int8_t *out);
void tinyml_mul_s8_mve(const tinyml_mul_s8_op *op, const tinyml_span *span,
                       const int8_t *const *rows, int8_t *out);
void tinyml_mul_s8_neon(const tinyml_mul_s8_op *op, const tinyml_span *span,
                        const int8_t *const *rows, int8_t *out);

/* min(a, b), max(a, b): both operands and the result have one quantisation */
typedef struct {
  tinyml_broadcast shape;
} tinyml_extremum_s8_op;

void tinyml_minimum_s8(const tinyml_extremum_s8_op *op, const tinyml_span *span,
                       const int8_t *const *rows, int8_t *out);

void tinyml_maximum_s8(const tinyml_extremum_s8_op *op, const tinyml_span *span,
                       const int8_t *const *rows, int8_t *out);

/* a rescaled by `positive` where a >= 0, else a * b rescaled by `negative` */
typedef struct {
  tinyml_broadcast shape;
  int32_t a_zero_point;
  int32_t b_zero_point;
  int32_t output_zero_point;
  tinyml_scale positive;
  tinyml_scale negative;
} tinyml_prelu_s8_op;

void tinyml_prelu_s8(const tinyml_prelu_s8_op *op, const tinyml_span *span,
                     const int8_t *const *rows, int8_t *out);

/* ---- Element-wise, one operand: rows (rows[1]) ---------------------------------------------- */

/* Any function of one byte: table[byte], 256 entries; in place */
typedef struct {
  int32_t channels;
  const TINYML_FLASH int8_t *table;
} tinyml_lut_8_op;

void tinyml_lut_8(const tinyml_lut_8_op *op, const tinyml_span *span, const int8_t *const *rows,
                  int8_t *out);
void tinyml_lut_8_mve(const tinyml_lut_8_op *op, const tinyml_span *span, const int8_t *const *rows,
                      int8_t *out);
void tinyml_lut_8_neon(const tinyml_lut_8_op *op, const tinyml_span *span,
                       const int8_t *const *rows, int8_t *out);

/* real = scale * (q - zero_point) */
typedef struct {
  int32_t channels;
  float scale;
  int32_t zero_point;
} tinyml_affine_op;

/* float32 to int8 or int16: round half away from zero, saturate; NaN gives the zero point */
void tinyml_quantize_f32_s8(const tinyml_affine_op *op, const tinyml_span *span,
                            const int8_t *const *rows, int8_t *out);
void tinyml_quantize_f32_s16(const tinyml_affine_op *op, const tinyml_span *span,
                             const int8_t *const *rows, int8_t *out);

/* int8, uint8, int16 to float32 */
void tinyml_dequantize_s8_f32(const tinyml_affine_op *op, const tinyml_span *span,
                              const int8_t *const *rows, int8_t *out);
void tinyml_dequantize_u8_f32(const tinyml_affine_op *op, const tinyml_span *span,
                              const int8_t *const *rows, int8_t *out);
void tinyml_dequantize_s16_f32(const tinyml_affine_op *op, const tinyml_span *span,
                               const int8_t *const *rows, int8_t *out);

/* int16 to int8 */
typedef struct {
  int32_t channels;
  int32_t input_zero_point;
  int32_t output_zero_point;
  tinyml_scale output;
} tinyml_requantize_op;

void tinyml_requantize_s16_s8(const tinyml_requantize_op *op, const tinyml_span *span,
                              const int8_t *const *rows, int8_t *out);

/* ---- Moving bytes --------------------------------------------------------------------------- */

/* Constant padding, elements of 1, 2 or 4 bytes, rows (rows[1]). The span's pad_left pixels go
 * before the row; each pixel of in_bytes gets before_bytes in front and after_bytes behind. The
 * padding repeats the low element_bytes bytes of `value`. */
typedef struct {
  int32_t element_bytes;
  int32_t in_bytes;
  int32_t before_bytes;
  int32_t after_bytes;
  int32_t value;
} tinyml_pad_op;

void tinyml_pad(const tinyml_pad_op *op, const tinyml_span *span, const int8_t *const *rows,
                int8_t *out);

/* Concatenation, rows (rows[count]): for each of the span's out_width pixels, bytes[i] bytes of
 * every input i. Along the width a row counts as one pixel; along the height, too, and the rows of
 * all inputs but one are NULL. */
typedef struct {
  int32_t count;
  const TINYML_FLASH int32_t *bytes;
} tinyml_concat_op;

void tinyml_concat(const tinyml_concat_op *op, const tinyml_span *span, const int8_t *const *rows,
                   int8_t *out);

/* A row as it is, rows (rows[1]). */
typedef struct {
  int32_t pixel_bytes;
} tinyml_copy_row_op;

void tinyml_copy_row(const tinyml_copy_row_op *op, const tinyml_span *span,
                     const int8_t *const *rows, int8_t *out);

/* Split, whole, the inverse of a concatenation: `count` outputs (`int8_t *`) follow `in`; each gets
 * its `bytes` in turn, `repeats` times. */
typedef struct {
  int32_t repeats;
  int32_t count;
  const TINYML_FLASH int32_t *bytes;
} tinyml_split_op;

void tinyml_split(const tinyml_split_op *op, const int8_t *in, ...);

/* Rows of a table by their indices, whole; an index outside the table gives its nearest row. */
typedef struct {
  int32_t count;
  int32_t rows;
  int32_t row_bytes;
} tinyml_gather_rows_op;

void tinyml_gather_rows(const tinyml_gather_rows_op *op, const int32_t *indices,
                        const int8_t *table, int8_t *out);

/* Copies a strided view into a dense tensor, whole: the output's element [i0, i1, ...] is the input
 * element offset + i0 * strides[0] + i1 * strides[1] + ...; sizes and strides have
 * TINYML_STRIDED_RANK entries. Transposition and slicing. Elements of 1, 2, 4 or 8 bytes. */
#define TINYML_STRIDED_RANK 6
typedef struct {
  int32_t element_bytes;
  int32_t offset;
  const TINYML_FLASH int32_t *sizes;
  const TINYML_FLASH int32_t *strides;
} tinyml_strided_copy_op;

void tinyml_strided_copy(const tinyml_strided_copy_op *op, const int8_t *in, int8_t *out);

/* ---- Layers that keep a state ---------------------------------------------------------------- */

/* States are results that are read before they are written: what they were is no other argument. */

/* A variable becomes `in`, whole. */
typedef struct {
  int32_t bytes;
} tinyml_assign_op;

void tinyml_assign(const tinyml_assign_op *op, const int8_t *in, int8_t *state);

/* SVDF, whole. in[batches, inputs] through feature weights[filters, inputs] becomes the newest
 * entry of state[batches, filters, memory], the oldest of which is lost; that through time
 * weights[filters, memory], summed over `rank` filters, becomes out[batches, filters / rank]. bias:
 * one per output, or NULL. */
typedef struct {
  int32_t batches;
  int32_t inputs;
  int32_t filters;
  int32_t memory;
  int32_t rank;
  int32_t input_zero_point;
  int32_t state_zero_point;
  int32_t output_zero_point;
  tinyml_scale feature_scale;
  tinyml_scale output_scale;
  const TINYML_FLASH int8_t *feature_weights;
  const TINYML_FLASH int16_t *time_weights;
  const TINYML_FLASH int32_t *bias;
} tinyml_svdf_s8_op;

void tinyml_svdf_s8(const tinyml_svdf_s8_op *op, const int8_t *in, int8_t *out, int16_t *state);

/* The same with state and time weights of int8. */
typedef struct {
  int32_t batches;
  int32_t inputs;
  int32_t filters;
  int32_t memory;
  int32_t rank;
  int32_t input_zero_point;
  int32_t state_zero_point;
  int32_t output_zero_point;
  tinyml_scale feature_scale;
  tinyml_scale output_scale;
  const TINYML_FLASH int8_t *feature_weights;
  const TINYML_FLASH int8_t *time_weights;
  const TINYML_FLASH int32_t *bias;
} tinyml_svdf_s8_state_s8_op;

void tinyml_svdf_s8_state_s8(const tinyml_svdf_s8_state_s8_op *op, const int8_t *in, int8_t *out,
                             int8_t *state);

/* One gate of an LSTM: weights[size, inputs] and recurrent weights[size, size]; each sum is
 * rescaled to Q3.12 by a scale of its own. */
typedef struct {
  const TINYML_FLASH int8_t *weights;
  const TINYML_FLASH int8_t *recurrent_weights;
  const TINYML_FLASH int32_t *bias;
  tinyml_scale scale;
  tinyml_scale recurrent_scale;
} tinyml_lstm_gate;

/* LSTM over a sequence, whole. in[batches, steps, inputs] -> out[batches, steps, size], or with
 * steps first; hidden[batches, size], cell[batches, size]. A cell is a number times 2^cell_shift,
 * of a magnitude of cell_clip at most (0: any). sigmoid: of i / 24 in Q0.16, for i < 256. */
typedef struct {
  int32_t batches;
  int32_t steps;
  int32_t inputs;
  int32_t size;
  int32_t time_major;
  int32_t input_zero_point;
  int32_t hidden_zero_point;
  int32_t cell_shift;
  int32_t cell_clip;
  tinyml_scale forget_scale; /* forget gate times cell */
  tinyml_scale update_scale; /* input gate times cell gate */
  tinyml_scale hidden_scale; /* output gate times tanh of the cell */
  tinyml_lstm_gate input_gate;
  tinyml_lstm_gate forget_gate;
  tinyml_lstm_gate cell_gate;
  tinyml_lstm_gate output_gate;
  const TINYML_FLASH uint16_t *sigmoid;
} tinyml_lstm_s8_op;

void tinyml_lstm_s8(const tinyml_lstm_s8_op *op, const int8_t *in, int8_t *out, int8_t *hidden,
                    int16_t *cell);

/* ---- Resize --------------------------------------------------------------------------------- */

/* Nearest neighbour, rows (rows[1]): output pixel x is input pixel columns[x] - pad_left. */
typedef struct {
  int32_t pixel_bytes;
  const TINYML_FLASH int16_t *columns;
} tinyml_resize_nearest_op;

void tinyml_resize_nearest(const tinyml_resize_nearest_op *op, const tinyml_span *span,
                           const int8_t *const *rows, int8_t *out);

/* Bilinear, int8, rows (rows[2]: the upper and the lower row). Output pixel x blends input pixels
 * left[x] - pad_left and right[x] - pad_left; x_weights and y_weights are the share of the right
 * pixel and of the lower row (indexed by the output row y), in 1/1024. */
typedef struct {
  int32_t channels;
  const TINYML_FLASH int16_t *left;
  const TINYML_FLASH int16_t *right;
  const TINYML_FLASH int16_t *x_weights;
  const TINYML_FLASH int16_t *y_weights;
} tinyml_resize_bilinear_s8_op;

void tinyml_resize_bilinear_s8(const tinyml_resize_bilinear_s8_op *op, const tinyml_span *span,
                               const int8_t *const *rows, int8_t *out, int32_t y);

/* ---- Reductions ----------------------------------------------------------------------------- */

/* Mean over height and width, int8, accumulate; the scratch holds one sum per channel. A mean over
 * height alone has a width of 1, and the columns' channels for channels. */
typedef struct {
  int32_t width;
  int32_t channels;
  int32_t zero_points; /* input zero point * height * width */
  int32_t output_zero_point;
  tinyml_scale output; /* with 1 / (height * width) in it */
} tinyml_mean_hw_s8_op;

#define TINYML_MEAN_HW_S8_SCRATCH(channels) (4 * (channels))

void tinyml_mean_hw_s8_begin(const tinyml_mean_hw_s8_op *op, int32_t *acc);
void tinyml_mean_hw_s8_row(const tinyml_mean_hw_s8_op *op, const int8_t *row, int32_t *acc);
void tinyml_mean_hw_s8_end(const tinyml_mean_hw_s8_op *op, const int32_t *acc, int8_t *out);
void tinyml_mean_hw_s8_mve_begin(const tinyml_mean_hw_s8_op *op, int32_t *acc);
void tinyml_mean_hw_s8_mve_row(const tinyml_mean_hw_s8_op *op, const int8_t *row, int32_t *acc);
void tinyml_mean_hw_s8_mve_end(const tinyml_mean_hw_s8_op *op, const int32_t *acc, int8_t *out);
void tinyml_mean_hw_s8_neon_begin(const tinyml_mean_hw_s8_op *op, int32_t *acc);
void tinyml_mean_hw_s8_neon_row(const tinyml_mean_hw_s8_op *op, const int8_t *row, int32_t *acc);
void tinyml_mean_hw_s8_neon_end(const tinyml_mean_hw_s8_op *op, const int32_t *acc, int8_t *out);

/* Mean over width, int8, rows (rows[1]). */
typedef struct {
  int32_t channels;
  int32_t zero_points; /* input zero point * width */
  int32_t output_zero_point;
  tinyml_scale output; /* with 1 / width in it */
} tinyml_mean_w_s8_op;

void tinyml_mean_w_s8(const tinyml_mean_w_s8_op *op, const tinyml_span *span,
                      const int8_t *const *rows, int8_t *out);
void tinyml_mean_w_s8_mve(const tinyml_mean_w_s8_op *op, const tinyml_span *span,
                          const int8_t *const *rows, int8_t *out);
void tinyml_mean_w_s8_neon(const tinyml_mean_w_s8_op *op, const tinyml_span *span,
                           const int8_t *const *rows, int8_t *out);

/* Mean over any dimensions, int8, whole. Kept and reduced dimensions are separate lists of
 * TINYML_MEAN_RANK sizes and input strides. */
#define TINYML_MEAN_RANK 3
typedef struct {
  const TINYML_FLASH int32_t *kept_sizes;
  const TINYML_FLASH int32_t *kept_strides;
  const TINYML_FLASH int32_t *reduced_sizes;
  const TINYML_FLASH int32_t *reduced_strides;
  int32_t zero_points; /* input zero point * number of elements reduced */
  int32_t output_zero_point;
  tinyml_scale output; /* with 1 / number of elements reduced in it */
} tinyml_mean_s8_op;

void tinyml_mean_s8(const tinyml_mean_s8_op *op, const int8_t *in, int8_t *out);

/* Index of the first maximum along the middle dimension of [outer, depth, inner], whole. */
typedef struct {
  int32_t outer;
  int32_t depth;
  int32_t inner;
} tinyml_arg_max_s8_op;

void tinyml_arg_max_s8(const tinyml_arg_max_s8_op *op, const int8_t *in, int32_t *out);

/* Index of the first minimum. */
void tinyml_arg_min_s8(const tinyml_arg_max_s8_op *op, const int8_t *in, int32_t *out);

/* Extrema over any dimensions, int8, whole; the lists are those of tinyml_mean_s8_op. */
typedef struct {
  const TINYML_FLASH int32_t *kept_sizes;
  const TINYML_FLASH int32_t *kept_strides;
  const TINYML_FLASH int32_t *reduced_sizes;
  const TINYML_FLASH int32_t *reduced_strides;
} tinyml_reduce_s8_op;

void tinyml_reduce_max_s8(const tinyml_reduce_s8_op *op, const int8_t *in, int8_t *out);

void tinyml_reduce_min_s8(const tinyml_reduce_s8_op *op, const int8_t *in, int8_t *out);

/* Softmax over the last dimension of [rows, depth], int8 to int8 (scale 1/256, zero point -128),
 * whole, in place. Differences to the maximum below diff_min count as nothing. depth < 4096. */
typedef struct {
  int32_t rows;
  int32_t depth;
  tinyml_scale input; /* to Q5.26; shift >= 0 */
  int32_t diff_min;
} tinyml_softmax_s8_op;

void tinyml_softmax_s8(const tinyml_softmax_s8_op *op, const int8_t *in, int8_t *out);

#ifdef __cplusplus
}
#endif

#endif
