/* The counter: instructions retired (minstret), which an emulator that ties time to instructions
 * keeps exactly, as hardware does. */
#include <stdint.h>

#include "riscv.h"
#include "tinyml_port.h"

static uint64_t start;

static uint64_t retired(void) {
  uint32_t high, low, again;
  do {
    CSR_READ("minstreth", high);
    CSR_READ("minstret", low);
    CSR_READ("minstreth", again);
  } while (high != again);
  return (uint64_t)high << 32 | low;
}

tinyml_port_scale tinyml_port_counter_scale(void) {
  const tinyml_port_scale scale = {TINYML_UNIT_INSTRUCTIONS, 1, 1, 0};
  return scale;
}

void tinyml_port_counter_reset(void) { start = retired(); }

uint64_t tinyml_port_ticks(void) { return retired() - start; }
