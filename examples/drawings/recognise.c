#include "recognise.h"

#define PIXELS 64
#define DIGITS 10

static const char drawings[] =
#include "drawings.inc"
    ;

/* An own printf of two words, which needs no heap, as that of some C libraries does. */
static char *say(char *to, const char *text) {
  while (*text != 0) {
    *to++ = *text++;
  }
  return to;
}

static char *say_number(char *to, int number) {
  char digits[4];
  int count = 0;
  if (number < 0) {
    *to++ = '-';
    number = -number;
  }
  do {
    digits[count++] = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  while (count > 0) {
    *to++ = digits[--count];
  }
  return to;
}

/* A pixel as the network takes it: real numbers from 0 to 1, in the steps of its input. */
static int8_t quantised(char pixel) {
  const float real = pixel == '#' ? 1.0f : pixel == '+' ? 0.6f : 0.0f;
  return (int8_t)((int)(real / DIGITS_INT8_INPUT_SCALE + 0.5f) + DIGITS_INT8_INPUT_ZERO_POINT);
}

int recognise_count(void) { return (int)(sizeof drawings / PIXELS); }

int recognise(digits_int8_t *model, int index, char line[RECOGNISE_LINE]) {
  int8_t input[PIXELS], output[DIGITS];
  int seen = 0;
  for (int i = 0; i < PIXELS; i++) {
    input[i] = quantised(drawings[index * PIXELS + i]);
  }
  if (digits_int8_invoke(model, input, output) != TINYML_OK) {
    return 0;
  }
  for (int digit = 1; digit < DIGITS; digit++) {
    seen = output[digit] > output[seen] ? digit : seen;
  }
  char *end = say_number(say(line, "drawing "), index);
  end = say_number(say(end, " is a "), seen);
  end = say(end, ":");
  for (int digit = 0; digit < DIGITS; digit++) {
    end = say_number(say(end, " "), output[digit]);
  }
  return (int)(say(end, "\n") - line);
}
