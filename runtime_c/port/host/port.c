/* A POSIX process: the link runs over standard input and output.
 *
 * It counts nanoseconds, which mean nothing in an emulator. One that counts instructions says so by
 * the environment variable TINYML_COUNTER: a descriptor from which the count up to there can be
 * read at any time, 64 bits. */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tinyml_port.h"

static uint64_t started;
static int counter = -1; /* the descriptor, if there is one */

static uint64_t now(void) {
  struct timespec t;
  uint64_t count;
  if (counter >= 0) {
    if (read(counter, &count, sizeof count) != (ssize_t)sizeof count) exit(EXIT_FAILURE);
    return count;
  }
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void tinyml_port_init(void) {
  const char *const given = getenv("TINYML_COUNTER");
  if (given != NULL) counter = atoi(given);
  tinyml_port_counter_reset();
}

int tinyml_port_read(void) {
  static uint8_t buffer[4096];
  static size_t next, filled;
  if (next == filled) {
    ssize_t got;
    do {
      got = read(STDIN_FILENO, buffer, sizeof buffer);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) return -1;
    filled = (size_t)got;
    next = 0;
  }
  return buffer[next++];
}

void tinyml_port_write(const uint8_t *data, size_t bytes) {
  while (bytes > 0) {
    const ssize_t sent = write(STDOUT_FILENO, data, bytes);
    if (sent < 0 && errno != EINTR) exit(EXIT_FAILURE); /* nobody is left to tell */
    if (sent > 0) {
      data += sent;
      bytes -= (size_t)sent;
    }
  }
}

void tinyml_port_counter_reset(void) { started = now(); }

uint64_t tinyml_port_ticks(void) { return now() - started; }

tinyml_port_scale tinyml_port_counter_scale(void) {
  const tinyml_port_scale scale = {
      counter >= 0 ? TINYML_UNIT_INSTRUCTIONS : TINYML_UNIT_NANOSECONDS, 1, 1, 0};
  return scale;
}

/* The system owns the stack of a process. */
void tinyml_port_paint_stack(uint8_t pattern) { (void)pattern; }

uint32_t tinyml_port_stack_used(uint8_t pattern) {
  (void)pattern;
  return 0;
}
