#include <string.h>

#include "tinyml_fixedpoint.h"
#include "tinyml_kernels.h"

#define CELL_GATE_SHIFT (-12) /* gates are Q3.12 */

typedef struct {
  const tinyml_lstm_s8_op *op;
  const int8_t *in;
  const int8_t *hidden;
} step;

static int32_t to_s16(int32_t x) { return tinyml_clamp(x, INT16_MIN, INT16_MAX); }

static int32_t rescaled(int32_t x, tinyml_scale scale) {
  return tinyml_requantize(x, scale.multiplier, scale.shift);
}

static int32_t dot(int32_t sum, const TINYML_FLASH int8_t *weights, const int8_t *x, int32_t count,
                   int32_t zero_point) {
  for (int32_t i = 0; i < count; ++i) sum = tinyml_add(sum, weights[i] * (x[i] - zero_point));
  return sum;
}

/* What cell i sees through a gate, in Q3.12. */
static int32_t gate(const step *s, const tinyml_lstm_gate *g, int32_t i) {
  const tinyml_lstm_s8_op *op = s->op;
  const int32_t from_input =
      dot(g->bias[i], g->weights + i * op->inputs, s->in, op->inputs, op->input_zero_point);
  const int32_t from_hidden =
      dot(0, g->recurrent_weights + i * op->size, s->hidden, op->size, op->hidden_zero_point);
  return to_s16(to_s16(rescaled(from_input, g->scale)) +
                to_s16(rescaled(from_hidden, g->recurrent_scale)));
}

/* The sigmoid of magnitude / 2^bits / 24 in Q0.16 with `bits` more bits; `most` from the end on. */
static int32_t interpolated(const TINYML_FLASH uint16_t *table, int32_t magnitude, int32_t bits,
                            int32_t most) {
  const int32_t at = magnitude >> bits;
  if (at >= 255) return most;
  const int32_t low = table[at];
  return low * ((int32_t)1 << bits) + (magnitude & ((1 << bits) - 1)) * (table[at + 1] - low);
}

/* Q3.12 to Q0.15 (TFLite's 16-bit Logistic) */
static int32_t sigmoid(const tinyml_lstm_s8_op *op, int32_t x) {
  const int32_t scaled = 3 * x;
  const int32_t value =
      interpolated(op->sigmoid, scaled < 0 ? -scaled : scaled, 9, (int32_t)0x7fff << 10);
  return (scaled < 0 ? ((int32_t)1 << 25) - value + 511 : value + 512) >> 10;
}

/* x * 2^exponent to Q0.15 (TFLite's 16-bit Tanh): twice the sigmoid of twice the number, less one
 */
static int32_t hyperbolic_tangent(const tinyml_lstm_s8_op *op, int32_t x, int32_t exponent) {
  const int32_t shift = exponent + 12;
  const int32_t half = (int32_t)1 << 23;
  int32_t scaled = 3 * x;
  if (shift >= 0) {
    scaled *= (int32_t)1 << shift;
  } else {
    scaled = (scaled + ((int32_t)1 << (-shift - 1))) >> -shift;
  }
  const int32_t value =
      interpolated(op->sigmoid, scaled < 0 ? -scaled : scaled, 8, (int32_t)0xffff << 8);
  return (scaled < 0 ? half - value + 127 : value - half + 128) >> 8;
}

/* The next value of cell i, which stays in `cell`, and of the hidden state. */
static int8_t next(const step *s, int32_t i, int16_t *cell) {
  const tinyml_lstm_s8_op *op = s->op;
  const int32_t forget = sigmoid(op, gate(s, &op->forget_gate, i));
  const int32_t update = sigmoid(op, gate(s, &op->input_gate, i));
  const int32_t added = hyperbolic_tangent(op, gate(s, &op->cell_gate, i), CELL_GATE_SHIFT);
  int32_t value = to_s16(to_s16(rescaled(forget * *cell, op->forget_scale)) +
                         to_s16(rescaled(update * added, op->update_scale)));
  if (op->cell_clip > 0) value = tinyml_clamp(value, -op->cell_clip, op->cell_clip);
  *cell = (int16_t)value;
  const int32_t output = sigmoid(op, gate(s, &op->output_gate, i));
  value = rescaled(hyperbolic_tangent(op, value, op->cell_shift) * output, op->hidden_scale);
  return tinyml_to_s8(value, op->hidden_zero_point, INT8_MIN, INT8_MAX);
}

void tinyml_lstm_s8(const tinyml_lstm_s8_op *op, const int8_t *in, int8_t *out, int8_t *hidden,
                    int16_t *cell) {
  for (int32_t n = 0; n < op->batches; ++n, hidden += op->size, cell += op->size) {
    for (int32_t t = 0; t < op->steps; ++t) {
      const int32_t at = op->time_major ? t * op->batches + n : n * op->steps + t;
      const step s = {op, in + at * op->inputs, hidden};
      int8_t *const row = out + at * op->size; /* all gates see the hidden state of before */
      for (int32_t i = 0; i < op->size; ++i) row[i] = next(&s, i, cell + i);
      memcpy(hidden, row, (size_t)op->size);
    }
  }
}
