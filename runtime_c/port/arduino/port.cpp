/* Arduino: the link runs over Serial, which the sketch has begun, and time is what micros() says.
 */
#include <Arduino.h>

#include "tinyml_port.h"

int tinyml_port_read(void) {
  int byte;
  do {
    byte = Serial.read();
  } while (byte < 0);
  return byte;
}

void tinyml_port_write(const uint8_t *data, size_t bytes) { Serial.write(data, bytes); }

#if defined(__AVR__)

extern uint8_t __heap_start; /* the linker's: the first byte after all variables */

static volatile uint32_t periods; /* of timer 1, which has 16 bits */

ISR(TIMER1_OVF_vect) { periods = periods + 1; }

void tinyml_port_init(void) {
  TCCR1A = 0;
  TIMSK1 = _BV(TOIE1);
  tinyml_port_counter_reset();
}

void tinyml_port_counter_reset(void) {
  const uint8_t state = SREG;
  cli();
  TCCR1B = 0;
  TCNT1 = 0;
  TIFR1 = _BV(TOV1);
  periods = 0;
  TCCR1B = _BV(CS10); /* a tick is a cycle */
  SREG = state;
}

uint64_t tinyml_port_ticks(void) {
  const uint8_t state = SREG;
  cli();
  uint16_t low = TCNT1;
  uint32_t high = periods;
  if (TIFR1 & _BV(TOV1)) {
    low = TCNT1; /* the first reading may be from before the period ended */
    ++high;
  }
  SREG = state;
  return (uint64_t)high << 16 | low;
}

tinyml_port_scale tinyml_port_counter_scale(void) {
  const tinyml_port_scale scale = {TINYML_UNIT_CYCLES, 1, 1, F_CPU};
  return scale;
}

void tinyml_port_paint_stack(uint8_t pattern) {
  uint8_t *const end = (uint8_t *)SP;
  for (volatile uint8_t *p = &__heap_start; p <= end; ++p) *p = pattern;
}

uint32_t tinyml_port_stack_used(uint8_t pattern) {
  const uint8_t *p = &__heap_start;
  while (p <= (const uint8_t *)RAMEND && *p == pattern) ++p;
  return (uint32_t)((const uint8_t *)RAMEND + 1 - p);
}

#else

static uint32_t start;

void tinyml_port_init(void) { tinyml_port_counter_reset(); }

void tinyml_port_counter_reset(void) { start = micros(); }

uint64_t tinyml_port_ticks(void) { return (uint32_t)micros() - start; }

tinyml_port_scale tinyml_port_counter_scale(void) {
  const tinyml_port_scale scale = {TINYML_UNIT_NANOSECONDS, 1000, 1, 0};
  return scale;
}

void tinyml_port_paint_stack(uint8_t pattern) { (void)pattern; }

uint32_t tinyml_port_stack_used(uint8_t pattern) {
  (void)pattern;
  return 0; /* not known: stacks belong to the core */
}

#endif
