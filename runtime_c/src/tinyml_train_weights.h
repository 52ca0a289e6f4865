/* Updates of weights: sums of products of outputs' gradients with inputs, over all places. */
#ifndef TINYML_TRAIN_WEIGHTS_H
#define TINYML_TRAIN_WEIGHTS_H

#include "tinyml_train_update.h"

/* Four outputs by four inputs at a time: their sums stay in registers over the places, and each
 * value loaded serves four products. */
#define TINYML_TRAIN_SIDE 4

typedef struct {
  float s[TINYML_TRAIN_SIDE][TINYML_TRAIN_SIDE];
} tinyml_train_sums;

/* Elements of the input: where they lie, and what is taken off and multiplied (`pixels`, of each
 * place, NULL for 1) if they are int8. */
typedef struct {
  const void *x;
  int32_t zero_point;
  const int32_t *pixels;
} tinyml_train_input;

/* Element `at`, of place `place` if there are pixels. */
TINYML_TRAIN_INLINE float tinyml_train_input_at(const tinyml_train_input *in, int32_t at,
                                                int32_t place, int s8, int filtered) {
  if (!s8) return ((const float *)in->x)[at];
  const int32_t value = ((const int8_t *)in->x)[at] - in->zero_point;
  return (float)(filtered && in->pixels != NULL ? value * in->pixels[place] : value);
}

/* s[o][i] += g[o] * x[i] at `n` places, of `outputs` and `inputs` up to four. */
TINYML_TRAIN_INLINE void tinyml_train_add_places(tinyml_train_sums *sums, int32_t outputs,
                                                 int32_t inputs, const float *g, int32_t g_step,
                                                 const tinyml_train_input *in, int32_t at,
                                                 int32_t x_step, int32_t n, int s8, int filtered) {
  if (outputs == 4 && inputs == 4) {
    tinyml_train_sums t = *sums;
    for (int32_t p = 0; p < n; ++p, g += g_step, at += x_step) {
      const float x0 = tinyml_train_input_at(in, at, p, s8, filtered);
      const float x1 = tinyml_train_input_at(in, at + 1, p, s8, filtered);
      const float x2 = tinyml_train_input_at(in, at + 2, p, s8, filtered);
      const float x3 = tinyml_train_input_at(in, at + 3, p, s8, filtered);
      const float g0 = g[0], g1 = g[1], g2 = g[2], g3 = g[3];
      t.s[0][0] += g0 * x0;
      t.s[0][1] += g0 * x1;
      t.s[0][2] += g0 * x2;
      t.s[0][3] += g0 * x3;
      t.s[1][0] += g1 * x0;
      t.s[1][1] += g1 * x1;
      t.s[1][2] += g1 * x2;
      t.s[1][3] += g1 * x3;
      t.s[2][0] += g2 * x0;
      t.s[2][1] += g2 * x1;
      t.s[2][2] += g2 * x2;
      t.s[2][3] += g2 * x3;
      t.s[3][0] += g3 * x0;
      t.s[3][1] += g3 * x1;
      t.s[3][2] += g3 * x2;
      t.s[3][3] += g3 * x3;
    }
    *sums = t;
    return;
  }
  for (int32_t p = 0; p < n; ++p, g += g_step, at += x_step) {
    for (int32_t i = 0; i < inputs; ++i) {
      const float x = tinyml_train_input_at(in, at + i, p, s8, filtered);
      for (int32_t o = 0; o < outputs; ++o) sums->s[o][i] += g[o] * x;
    }
  }
}

/* Moves the weights of a tap, `inputs` in a row from element `at`, of `outputs` that are
 * `output_step` apart; their gradients, which momentum remembers at `remembered`, likewise. A
 * filtered layer's are those of all `taps`, which are `tap_step` apart. */
typedef struct {
  int32_t at;
  int32_t output_step;
  int32_t taps;
  int32_t tap_step;
  int32_t remembered;
  int32_t remembered_step;
} tinyml_train_weights;

TINYML_TRAIN_INLINE void tinyml_train_move_tile(const tinyml_train_change *c,
                                                const tinyml_train_sums *sums, int32_t outputs,
                                                int32_t inputs, const tinyml_train_weights *to,
                                                const float *factors, int32_t factor_step,
                                                void *weights, float *momentum, int s8) {
  for (int32_t o = 0; o < outputs; ++o) {
    for (int32_t i = 0; i < inputs; ++i) {
      float d = sums->s[o][i];
      if (s8) d = d * factors[o + i * factor_step];
      float *m = momentum == NULL ? NULL : momentum + to->remembered + o * to->remembered_step + i;
      const float step = tinyml_train_step(c, d, m);
      if (!c->applies) continue;
      int32_t at = to->at + o * to->output_step + i;
      for (int32_t k = 0; k < to->taps; ++k, at += to->tap_step) {
        tinyml_train_move(c, weights, at, step, s8);
      }
    }
  }
}

static inline int32_t tinyml_train_side(int32_t rest) {
  return rest < TINYML_TRAIN_SIDE ? rest : TINYML_TRAIN_SIDE;
}

TINYML_TRAIN_INLINE void tinyml_train_update_filtered(const tinyml_train_update_op *op,
                                                      const float *g, const void *x, void *weights,
                                                      float *momentum,
                                                      const tinyml_train_sample *sample, int s8) {
  const tinyml_train_layer *l = &op->layer;
  const tinyml_train_change c = tinyml_train_change_of(&op->parameter, sample);
  const tinyml_train_input in = {x, op->x_zero_point, op->pixels};
  const int32_t taps = l->window.kernel_height * l->window.kernel_width;
  tinyml_train_weights to;
  to.output_step = taps * l->in_channels;
  to.taps = taps;
  to.tap_step = l->in_channels;
  to.remembered_step = op->channels;
  for (int32_t o = 0; o < l->out_channels; o += TINYML_TRAIN_SIDE) {
    const int32_t outputs = tinyml_train_side(l->out_channels - o);
    for (int32_t i = 0; i < op->channels; i += TINYML_TRAIN_SIDE) {
      const int32_t inputs = tinyml_train_side(op->channels - i);
      tinyml_train_sums sums = {{{0.0f}}};
      for (int32_t n = 0; n < op->images; ++n) {
        const float *from = g + n * op->places * l->out_channels + o;
        const int32_t at = n * op->places * op->channels + i;
        if (op->pixels != NULL) {
          tinyml_train_add_places(&sums, outputs, inputs, from, l->out_channels, &in, at,
                                  op->channels, op->places, s8, 1);
        } else {
          tinyml_train_add_places(&sums, outputs, inputs, from, l->out_channels, &in, at,
                                  op->channels, op->places, s8, 0);
        }
      }
      to.at = o * to.output_step + i;
      to.remembered = o * op->channels + i;
      tinyml_train_move_tile(&c, &sums, outputs, inputs, &to, s8 ? op->parameter.factors + o : NULL,
                             0, weights, momentum, s8);
    }
  }
}

TINYML_TRAIN_INLINE void tinyml_train_update_conv(const tinyml_train_update_op *op, const float *g,
                                                  const void *x, void *weights, float *momentum,
                                                  const tinyml_train_sample *sample, int s8) {
  const tinyml_train_layer *l = &op->layer;
  const tinyml_train_change c = tinyml_train_change_of(&op->parameter, sample);
  const tinyml_train_input in = {x, op->x_zero_point, NULL};
  const int32_t taps = l->window.kernel_height * l->window.kernel_width;
  tinyml_train_weights to;
  to.output_step = taps * l->in_channels;
  to.taps = 1;
  to.tap_step = 0;
  to.remembered_step = taps * op->channels;
  for (int32_t k = 0; k < taps; ++k) {
    const tinyml_train_tap tap =
        tinyml_train_tap_at(l, k / l->window.kernel_width, k % l->window.kernel_width);
    const int32_t places = tap.columns.end - tap.columns.begin;
    for (int32_t o = 0; o < l->out_channels; o += TINYML_TRAIN_SIDE) {
      const int32_t outputs = tinyml_train_side(l->out_channels - o);
      for (int32_t i = 0; i < op->channels; i += TINYML_TRAIN_SIDE) {
        const int32_t inputs = tinyml_train_side(op->channels - i);
        tinyml_train_sums sums = {{{0.0f}}};
        for (int32_t n = 0; n < l->images; ++n) {
          for (int32_t y = tap.rows.begin; y < tap.rows.end; ++y) {
            tinyml_train_add_places(&sums, outputs, inputs,
                                    g + tinyml_train_out_pixel(l, &tap, n, y) * l->out_channels + o,
                                    l->out_channels, &in,
                                    tinyml_train_in_pixel(l, &tap, n, y) * op->channels + i,
                                    l->window.stride_x * op->channels, places, s8, 0);
          }
        }
        to.at = o * to.output_step + k * l->in_channels + i;
        to.remembered = o * to.remembered_step + k * op->channels + i;
        tinyml_train_move_tile(&c, &sums, outputs, inputs, &to,
                               s8 ? op->parameter.factors + o : NULL, 0, weights, momentum, s8);
      }
    }
  }
}

/* s[0][i] += g[i] * x[i] at `n` places: of four outputs of a depthwise layer, or one. */
TINYML_TRAIN_INLINE void tinyml_train_add_each(tinyml_train_sums *sums, int32_t outputs,
                                               const float *g, int32_t g_step,
                                               const tinyml_train_input *in, int32_t at,
                                               int32_t x_step, int32_t n, int s8, int filtered) {
  float a = sums->s[0][0];
  if (outputs == 4) {
    float b = sums->s[0][1], c = sums->s[0][2], d = sums->s[0][3];
    for (int32_t p = 0; p < n; ++p, g += g_step, at += x_step) {
      a += g[0] * tinyml_train_input_at(in, at, p, s8, filtered);
      b += g[1] * tinyml_train_input_at(in, at + 1, p, s8, filtered);
      c += g[2] * tinyml_train_input_at(in, at + 2, p, s8, filtered);
      d += g[3] * tinyml_train_input_at(in, at + 3, p, s8, filtered);
    }
    sums->s[0][1] = b;
    sums->s[0][2] = c;
    sums->s[0][3] = d;
  } else {
    for (int32_t p = 0; p < n; ++p, g += g_step, at += x_step) {
      a += *g * tinyml_train_input_at(in, at, p, s8, filtered);
    }
  }
  sums->s[0][0] = a;
}

/* Outputs of a depthwise layer that go together from `o` on, of `outputs`. */
static inline int32_t tinyml_train_together(const tinyml_train_layer *l, int32_t o,
                                            int32_t outputs) {
  return l->multiplier == 1 && o + TINYML_TRAIN_SIDE <= outputs ? TINYML_TRAIN_SIDE : 1;
}

TINYML_TRAIN_INLINE void tinyml_train_update_depthwise_filtered(const tinyml_train_update_op *op,
                                                                const float *g, const void *x,
                                                                void *weights, float *momentum,
                                                                const tinyml_train_sample *sample,
                                                                int s8) {
  const tinyml_train_layer *l = &op->layer;
  const tinyml_train_change c = tinyml_train_change_of(&op->parameter, sample);
  const tinyml_train_input in = {x, op->x_zero_point, op->pixels};
  const int32_t outputs = op->channels * l->multiplier;
  tinyml_train_weights to = {
      0, 0, l->window.kernel_height * l->window.kernel_width, l->out_channels, 0, 0};
  for (int32_t o = 0, together = 1; o < outputs; o += together) {
    tinyml_train_sums sums = {{{0.0f}}};
    together = tinyml_train_together(l, o, outputs);
    for (int32_t n = 0; n < op->images; ++n) {
      tinyml_train_add_each(&sums, together, g + n * op->places * l->out_channels + o,
                            l->out_channels, &in, n * op->places * op->channels + o / l->multiplier,
                            op->channels, op->places, s8, 1);
    }
    to.at = o;
    to.remembered = o;
    tinyml_train_move_tile(&c, &sums, 1, together, &to, s8 ? op->parameter.factors + o : NULL, 1,
                           weights, momentum, s8);
  }
}

TINYML_TRAIN_INLINE void tinyml_train_update_depthwise(const tinyml_train_update_op *op,
                                                       const float *g, const void *x, void *weights,
                                                       float *momentum,
                                                       const tinyml_train_sample *sample, int s8) {
  const tinyml_train_layer *l = &op->layer;
  const tinyml_train_change c = tinyml_train_change_of(&op->parameter, sample);
  const tinyml_train_input in = {x, op->x_zero_point, NULL};
  const int32_t taps = l->window.kernel_height * l->window.kernel_width;
  const int32_t outputs = op->channels * l->multiplier;
  tinyml_train_weights to = {0, 0, 1, 0, 0, 0};
  for (int32_t k = 0; k < taps; ++k) {
    const tinyml_train_tap tap =
        tinyml_train_tap_at(l, k / l->window.kernel_width, k % l->window.kernel_width);
    const int32_t places = tap.columns.end - tap.columns.begin;
    for (int32_t o = 0, together = 1; o < outputs; o += together) {
      tinyml_train_sums sums = {{{0.0f}}};
      together = tinyml_train_together(l, o, outputs);
      for (int32_t n = 0; n < l->images; ++n) {
        for (int32_t y = tap.rows.begin; y < tap.rows.end; ++y) {
          tinyml_train_add_each(
              &sums, together, g + tinyml_train_out_pixel(l, &tap, n, y) * l->out_channels + o,
              l->out_channels, &in,
              tinyml_train_in_pixel(l, &tap, n, y) * op->channels + o / l->multiplier,
              l->window.stride_x * op->channels, places, s8, 0);
        }
      }
      to.at = k * l->out_channels + o;
      to.remembered = k * outputs + o;
      tinyml_train_move_tile(&c, &sums, 1, together, &to, s8 ? op->parameter.factors + o : NULL, 1,
                             weights, momentum, s8);
    }
  }
}

#endif
