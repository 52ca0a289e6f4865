/* Zephyr: the link runs over the serial port of the console, which prj.conf keeps free, and time is
 * the kernel's cycle counter. */
#include <zephyr/device.h>
#include <zephyr/devicetree.h>
#include <zephyr/drivers/uart.h>
#include <zephyr/kernel.h>

#include "tinyml_port.h"

static const struct device *const serial = DEVICE_DT_GET(DT_CHOSEN(zephyr_console));

/* The counter has 32 bits: it is read at least at every byte of the link, and in an inference
 * twice, so what runs longer than one of its periods (100 s at 40 MHz) is counted short. */
static uint32_t last;
static uint64_t ticks;

static void advance(void) {
  const uint32_t now = k_cycle_get_32();
  ticks += now - last;
  last = now;
}

void tinyml_port_init(void) {
  while (!device_is_ready(serial)) k_msleep(1);
  tinyml_port_counter_reset();
}

int tinyml_port_read(void) {
  unsigned char byte;
  while (uart_poll_in(serial, &byte) != 0) advance();
  return byte;
}

void tinyml_port_write(const uint8_t *data, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) uart_poll_out(serial, data[i]);
}

void tinyml_port_counter_reset(void) {
  last = k_cycle_get_32();
  ticks = 0;
}

uint64_t tinyml_port_ticks(void) {
  advance();
  return ticks;
}

/* On many chips the counter is not the processor's clock, so it is told as time. */
tinyml_port_scale tinyml_port_counter_scale(void) {
  const tinyml_port_scale scale = {TINYML_UNIT_NANOSECONDS, 1000000000u,
                                   (uint32_t)sys_clock_hw_cycles_per_sec(), 0};
  return scale;
}

#define FRAME_BYTES 128 /* room for the frame of tinyml_port_paint_stack itself */

/* The stack of the thread that serves the link; it grows downwards. */
static uint8_t *stack_start(void) { return (uint8_t *)k_current_get()->stack_info.start; }

void tinyml_port_paint_stack(uint8_t pattern) {
  const uintptr_t end = (uintptr_t)__builtin_frame_address(0) - FRAME_BYTES;
  for (volatile uint8_t *p = stack_start(); (uintptr_t)p < end; ++p) *p = pattern;
}

uint32_t tinyml_port_stack_used(uint8_t pattern) {
  const uint8_t *const start = stack_start();
  const uint8_t *const end = start + k_current_get()->stack_info.size;
  const uint8_t *p = start;
  while (p < end && *p == pattern) ++p;
  return (uint32_t)(end - p);
}
