/* pico-sdk: the link runs over its standard input and output (USB, or UART 0), as raw bytes, and
 * time is that of the timer. */
#include <stdio.h>

#include "pico/stdlib.h"
#include "tinyml_port.h"

static uint64_t start;

void tinyml_port_init(void) {
  stdio_init_all();
  tinyml_port_counter_reset();
}

int tinyml_port_read(void) {
  int byte;
  do {
    byte = getchar_timeout_us(1000);
  } while (byte < 0);
  return byte & 0xFF;
}

void tinyml_port_write(const uint8_t *data, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) putchar_raw(data[i]);
  stdio_flush();
}

void tinyml_port_counter_reset(void) { start = time_us_64(); }

uint64_t tinyml_port_ticks(void) { return time_us_64() - start; }

tinyml_port_scale tinyml_port_counter_scale(void) {
  const tinyml_port_scale scale = {TINYML_UNIT_NANOSECONDS, 1000, 1, 0};
  return scale;
}

void tinyml_port_paint_stack(uint8_t pattern) { (void)pattern; }

uint32_t tinyml_port_stack_used(uint8_t pattern) {
  (void)pattern;
  return 0; /* not known: the stack belongs to the SDK */
}
