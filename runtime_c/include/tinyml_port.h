/* tinyml: what a target must provide to carry the serial link.
 *
 * One implementation per folder of runtime_c/port. Nothing here is needed by a
 * model itself: an application that calls the generated functions needs no port.
 */
#ifndef TINYML_PORT_H
#define TINYML_PORT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the ticks of the counter are worth. */
typedef enum {
  TINYML_UNIT_CYCLES = 1,       /* processor clock cycles of real hardware */
  TINYML_UNIT_INSTRUCTIONS = 2, /* instructions, if the emulator ties time to them */
  TINYML_UNIT_NANOSECONDS = 3   /* time of a multitasking host: for orientation only */
} tinyml_unit;

/* count = ticks * numerator / denominator, in `unit`. */
typedef struct {
  uint32_t unit;
  uint32_t numerator;
  uint32_t denominator;
  uint32_t clock_hz; /* the processor clock as it was set up; 0: not known */
} tinyml_port_scale;

/* Sets up clock, serial port and counter. Called once, before anything else here. */
void tinyml_port_init(void);

/* Waits for a byte from the link: 0..255, or -1 when the link was closed (hosts only). */
int tinyml_port_read(void);

/* Sends `bytes` bytes; returns when the last one is handed to the serial port. */
void tinyml_port_write(const uint8_t *data, size_t bytes);

/* Sets the counter to 0. */
void tinyml_port_counter_reset(void);

/* Ticks since the last reset of the counter; never wraps. */
uint64_t tinyml_port_ticks(void);

/* What a tick is worth; found out by tinyml_port_init. */
tinyml_port_scale tinyml_port_counter_scale(void);

/* Fills the unused part of the stack with `pattern`. */
void tinyml_port_paint_stack(uint8_t pattern);

/* Bytes of stack used at most since it was painted with `pattern`; 0: not known here. */
uint32_t tinyml_port_stack_used(uint8_t pattern);

/* Provided by the link, called by the port when the processor faults: `frame`
 * holds the stacked r0-r3, r12, lr, pc, xpsr, or is NULL when the stack itself
 * is broken; `cause` is the Configurable Fault Status Register (0 on cores without). */
void tinyml_port_on_fault(const uint32_t *frame, uint32_t cause);

#ifdef __cplusplus
}
#endif

#endif
