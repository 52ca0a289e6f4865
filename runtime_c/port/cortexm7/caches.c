/* The instruction and data caches of a Cortex-M7 (Armv7-M ARM, B2.2; DDI 0489, chapter 5).
 *
 * What they hold after reset is undefined: each is invalidated before it is turned on. */
#include <stdint.h>

#include "../cortexm/cortexm.h"

#define CCR_DC (1u << 16)
#define CCR_IC (1u << 17)

/* Invalidates the data cache line by line, by set and way. */
static void invalidate_data(void) {
  SCB_CSSELR = 0; /* the data cache of level 1 */
  BARRIER();
  const uint32_t size = SCB_CCSIDR;
  const uint32_t last_set = (size >> 13) & 0x7FFFu;
  const uint32_t last_way = (size >> 3) & 0x3FFu; /* 3 in a Cortex-M7: way in bits 30 and 31 */
  const uint32_t set_position = (size & 7u) + 4u; /* log2 of the bytes of a line */
  for (uint32_t set = 0; set <= last_set; ++set) {
    for (uint32_t way = 0; way <= last_way; ++way) SCB_DCISW = (way << 30) | (set << set_position);
  }
}

void tinyml_port_caches_on(void) {
  BARRIER();
  SCB_ICIALLU = 0;
  BARRIER();
  SCB_CCR |= CCR_IC;
  BARRIER();
  invalidate_data();
  BARRIER();
  SCB_CCR |= CCR_DC;
  BARRIER();
}
