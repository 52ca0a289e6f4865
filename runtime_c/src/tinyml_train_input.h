/* Gradients of inputs: products of outputs' gradients with weights, added up in place. */
#ifndef TINYML_TRAIN_INPUT_H
#define TINYML_TRAIN_INPUT_H

#include "tinyml_train_common.h"

/* Four outputs by four inputs at a time: their weights stay in registers for all places of a row,
 * and each gradient loaded serves four products. The sum of an input takes its outputs in order. */
#define TINYML_TRAIN_SIDE 4

/* Weights of up to four outputs, for up to four inputs each, and the outputs' scales. */
typedef struct {
  float w[TINYML_TRAIN_SIDE][TINYML_TRAIN_SIDE];
  float scales[TINYML_TRAIN_SIDE];
  int32_t outputs;
  int32_t inputs;
} tinyml_train_tile;

/* dx[i] += over o: g[o] * scales[o] * w[o][i], at `n` places: g and dx move on by their steps. */
TINYML_TRAIN_INLINE void tinyml_train_add_tile(const tinyml_train_tile *t, const float *g,
                                               int32_t g_step, float *dx, int32_t dx_step,
                                               int32_t n, int s8) {
  if (t->outputs == 4 && t->inputs == 4) {
    const float w00 = t->w[0][0], w01 = t->w[0][1], w02 = t->w[0][2], w03 = t->w[0][3];
    const float w10 = t->w[1][0], w11 = t->w[1][1], w12 = t->w[1][2], w13 = t->w[1][3];
    const float w20 = t->w[2][0], w21 = t->w[2][1], w22 = t->w[2][2], w23 = t->w[2][3];
    const float w30 = t->w[3][0], w31 = t->w[3][1], w32 = t->w[3][2], w33 = t->w[3][3];
    for (; n > 0; --n, g += g_step, dx += dx_step) {
      float a = dx[0], b = dx[1], c = dx[2], d = dx[3];
      float u = s8 ? g[0] * t->scales[0] : g[0];
      a += u * w00;
      b += u * w01;
      c += u * w02;
      d += u * w03;
      u = s8 ? g[1] * t->scales[1] : g[1];
      a += u * w10;
      b += u * w11;
      c += u * w12;
      d += u * w13;
      u = s8 ? g[2] * t->scales[2] : g[2];
      a += u * w20;
      b += u * w21;
      c += u * w22;
      d += u * w23;
      u = s8 ? g[3] * t->scales[3] : g[3];
      a += u * w30;
      b += u * w31;
      c += u * w32;
      d += u * w33;
      dx[0] = a;
      dx[1] = b;
      dx[2] = c;
      dx[3] = d;
    }
    return;
  }
  for (; n > 0; --n, g += g_step, dx += dx_step) {
    for (int32_t o = 0; o < t->outputs; ++o) {
      const float u = s8 ? g[o] * t->scales[o] : g[o];
      for (int32_t i = 0; i < t->inputs; ++i) dx[i] += u * t->w[o][i];
    }
  }
}

/* Sizes of the tile at (o, i), and its scales. */
TINYML_TRAIN_INLINE void tinyml_train_tile_at(tinyml_train_tile *t,
                                              const tinyml_train_input_grad_op *op, int32_t o,
                                              int32_t i, int s8) {
  const int32_t outputs = op->layer.out_channels - o, inputs = op->layer.in_channels - i;
  t->outputs = outputs < TINYML_TRAIN_SIDE ? outputs : TINYML_TRAIN_SIDE;
  t->inputs = inputs < TINYML_TRAIN_SIDE ? inputs : TINYML_TRAIN_SIDE;
  if (!s8) return;
  for (int32_t k = 0; k < t->outputs; ++k) t->scales[k] = op->scales[o + k];
}

/* The weights of a tile: each the sum over `taps` of them, `tap_step` apart, row by row. */
TINYML_TRAIN_INLINE void tinyml_train_tile_weights(tinyml_train_tile *t, const void *weights,
                                                   int32_t at, int32_t output_step, int32_t taps,
                                                   int32_t tap_step, int32_t zero_point, int s8) {
  for (int32_t o = 0; o < t->outputs; ++o) {
    for (int32_t i = 0; i < t->inputs; ++i) {
      const int32_t first = at + o * output_step + i;
      if (taps == 1) {
        t->w[o][i] = tinyml_train_value(weights, first, zero_point, s8);
      } else if (s8) { /* whole numbers: exact in any order */
        int32_t sum = 0;
        for (int32_t k = 0; k < taps; ++k) {
          sum += ((const int8_t *)weights)[first + k * tap_step] - zero_point;
        }
        t->w[o][i] = (float)sum;
      } else {
        float sum = 0.0f;
        for (int32_t k = 0; k < taps; ++k) sum += ((const float *)weights)[first + k * tap_step];
        t->w[o][i] = sum;
      }
    }
  }
}

static inline void tinyml_train_clear(float *x, int32_t count) {
  for (; count > 0; --count) *x++ = 0.0f;
}

/* The same where there is one place: tiles of weights would not pay, sums stay in registers. */
TINYML_TRAIN_INLINE void tinyml_train_input_grad_row(const tinyml_train_input_grad_op *op,
                                                     const float *g, const void *weights, float *dx,
                                                     int s8) {
  const int32_t inputs = op->layer.in_channels, outputs = op->layer.out_channels;
  const int32_t zero_point = op->weights_zero_point;
  int32_t i = 0;
  for (; i + TINYML_TRAIN_SIDE <= inputs; i += TINYML_TRAIN_SIDE) {
    float a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;
    int32_t at = i;
    for (int32_t o = 0; o < outputs; ++o, at += inputs) {
      const float u = s8 ? g[o] * op->scales[o] : g[o];
      a += u * tinyml_train_value(weights, at, zero_point, s8);
      b += u * tinyml_train_value(weights, at + 1, zero_point, s8);
      c += u * tinyml_train_value(weights, at + 2, zero_point, s8);
      d += u * tinyml_train_value(weights, at + 3, zero_point, s8);
    }
    dx[i] = a;
    dx[i + 1] = b;
    dx[i + 2] = c;
    dx[i + 3] = d;
  }
  for (; i < inputs; ++i) {
    float sum = 0.0f;
    for (int32_t o = 0; o < outputs; ++o) {
      const float u = s8 ? g[o] * op->scales[o] : g[o];
      sum += u * tinyml_train_value(weights, o * inputs + i, zero_point, s8);
    }
    dx[i] = sum;
  }
}

/* Patches, rows of a dense layer, or pixels where the kernel is 1x1. */
TINYML_TRAIN_INLINE void tinyml_train_input_grad_filtered(const tinyml_train_input_grad_op *op,
                                                          const float *g, const void *weights,
                                                          float *dx, int s8) {
  const tinyml_train_layer *l = &op->layer;
  const int32_t taps = l->window.kernel_height * l->window.kernel_width;
  tinyml_train_tile t;
  if (taps == 1 && op->places == 1) {
    tinyml_train_input_grad_row(op, g, weights, dx, s8);
    return;
  }
  tinyml_train_clear(dx, op->places * l->in_channels);
  for (int32_t i = 0; i < l->in_channels; i += TINYML_TRAIN_SIDE) {
    for (int32_t o = 0; o < l->out_channels; o += TINYML_TRAIN_SIDE) {
      const int32_t step = taps * l->in_channels;
      tinyml_train_tile_at(&t, op, o, i, s8);
      tinyml_train_tile_weights(&t, weights, o * step + i, step, taps, l->in_channels,
                                op->weights_zero_point, s8);
      tinyml_train_add_tile(&t, g + o, l->out_channels, dx + i, l->in_channels, op->places, s8);
    }
  }
}

TINYML_TRAIN_INLINE void tinyml_train_input_grad_conv(const tinyml_train_input_grad_op *op,
                                                      const float *g, const void *weights,
                                                      float *dx, int s8) {
  const tinyml_train_layer *l = &op->layer;
  const int32_t taps = l->window.kernel_height * l->window.kernel_width;
  const int32_t step = taps * l->in_channels;
  tinyml_train_tile t;
  tinyml_train_clear(dx, l->images * l->in_height * l->in_width * l->in_channels);
  for (int32_t k = 0; k < taps; ++k) {
    const tinyml_train_tap tap =
        tinyml_train_tap_at(l, k / l->window.kernel_width, k % l->window.kernel_width);
    const int32_t places = tap.columns.end - tap.columns.begin;
    for (int32_t i = 0; i < l->in_channels; i += TINYML_TRAIN_SIDE) {
      for (int32_t o = 0; o < l->out_channels; o += TINYML_TRAIN_SIDE) {
        tinyml_train_tile_at(&t, op, o, i, s8);
        tinyml_train_tile_weights(&t, weights, o * step + k * l->in_channels + i, step, 1, 0,
                                  op->weights_zero_point, s8);
        for (int32_t n = 0; n < l->images; ++n) {
          for (int32_t y = tap.rows.begin; y < tap.rows.end; ++y) {
            tinyml_train_add_tile(
                &t, g + tinyml_train_out_pixel(l, &tap, n, y) * l->out_channels + o,
                l->out_channels, dx + tinyml_train_in_pixel(l, &tap, n, y) * l->in_channels + i,
                l->window.stride_x * l->in_channels, places, s8);
          }
        }
      }
    }
  }
}

/* How many outputs of a depthwise layer go together from `o` on: four where each channel has one.
 */
TINYML_TRAIN_INLINE int32_t tinyml_train_outputs(const tinyml_train_layer *l, int32_t o) {
  return l->multiplier == 1 && o + TINYML_TRAIN_SIDE <= l->out_channels ? TINYML_TRAIN_SIDE : 1;
}

/* dx[c] += g[o] * scales[o] * w[o]; four outputs, or one. */
TINYML_TRAIN_INLINE void tinyml_train_add_outputs(const tinyml_train_tile *t, const float *g,
                                                  int32_t g_step, float *dx, int32_t dx_step,
                                                  int32_t n, int s8) {
  const float w0 = t->w[0][0], s0 = t->scales[0];
  if (t->inputs == 4) {
    const float w1 = t->w[0][1], w2 = t->w[0][2], w3 = t->w[0][3];
    const float s1 = t->scales[1], s2 = t->scales[2], s3 = t->scales[3];
    for (; n > 0; --n, g += g_step, dx += dx_step) {
      dx[0] += (s8 ? g[0] * s0 : g[0]) * w0;
      dx[1] += (s8 ? g[1] * s1 : g[1]) * w1;
      dx[2] += (s8 ? g[2] * s2 : g[2]) * w2;
      dx[3] += (s8 ? g[3] * s3 : g[3]) * w3;
    }
    return;
  }
  for (; n > 0; --n, g += g_step, dx += dx_step) *dx += (s8 ? *g * s0 : *g) * w0;
}

/* The tile of a depthwise layer at output `o`: its weights are in a row. */
TINYML_TRAIN_INLINE void tinyml_train_outputs_at(tinyml_train_tile *t,
                                                 const tinyml_train_input_grad_op *op, int32_t o,
                                                 int s8) {
  t->outputs = 1;
  t->inputs = tinyml_train_outputs(&op->layer, o);
  for (int32_t k = 0; k < t->inputs; ++k) t->scales[k] = s8 ? op->scales[o + k] : 1.0f;
}

TINYML_TRAIN_INLINE void tinyml_train_input_grad_depthwise_filtered(
    const tinyml_train_input_grad_op *op, const float *g, const void *weights, float *dx, int s8) {
  const tinyml_train_layer *l = &op->layer;
  const int32_t taps = l->window.kernel_height * l->window.kernel_width;
  tinyml_train_tile t;
  tinyml_train_clear(dx, op->places * l->in_channels);
  for (int32_t o = 0; o < l->out_channels; o += t.inputs) {
    tinyml_train_outputs_at(&t, op, o, s8);
    tinyml_train_tile_weights(&t, weights, o, 0, taps, l->out_channels, op->weights_zero_point, s8);
    tinyml_train_add_outputs(&t, g + o, l->out_channels, dx + o / l->multiplier, l->in_channels,
                             op->places, s8);
  }
}

TINYML_TRAIN_INLINE void tinyml_train_input_grad_depthwise(const tinyml_train_input_grad_op *op,
                                                           const float *g, const void *weights,
                                                           float *dx, int s8) {
  const tinyml_train_layer *l = &op->layer;
  const int32_t taps = l->window.kernel_height * l->window.kernel_width;
  tinyml_train_tile t;
  tinyml_train_clear(dx, l->images * l->in_height * l->in_width * l->in_channels);
  for (int32_t k = 0; k < taps; ++k) {
    const tinyml_train_tap tap =
        tinyml_train_tap_at(l, k / l->window.kernel_width, k % l->window.kernel_width);
    const int32_t places = tap.columns.end - tap.columns.begin;
    for (int32_t o = 0; o < l->out_channels; o += t.inputs) {
      tinyml_train_outputs_at(&t, op, o, s8);
      tinyml_train_tile_weights(&t, weights, k * l->out_channels + o, 0, 1, 0,
                                op->weights_zero_point, s8);
      for (int32_t n = 0; n < l->images; ++n) {
        for (int32_t y = tap.rows.begin; y < tap.rows.end; ++y) {
          tinyml_train_add_outputs(
              &t, g + tinyml_train_out_pixel(l, &tap, n, y) * l->out_channels + o, l->out_channels,
              dx + tinyml_train_in_pixel(l, &tap, n, y) * l->in_channels + o / l->multiplier,
              l->window.stride_x * l->in_channels, places, s8);
        }
      }
    }
  }
}

#endif
