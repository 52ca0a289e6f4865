/* The counter: SysTick on the processor clock, extended from 24 to 64 bits by its interrupt.
 *
 * On hardware one tick is one cycle. In an emulator that ties time to
 * instructions, a tick is a fixed number of instructions, which the board data
 * gives. Which of the two it is shows the DWT cycle counter, which runs on
 * hardware and stands still in QEMU. */
#include <stdint.h>

#include "cortexm.h"
#include "tinyml_port.h"

#define SYSTICK_PERIOD (UINT32_C(1) << 24)
#define ICSR_PENDSTSET (UINT32_C(1) << 26)
#define ICSR_PENDSTCLR (UINT32_C(1) << 25)

void tinyml_port_systick(void);

static volatile uint32_t periods;
static tinyml_port_scale scale;

void tinyml_port_systick(void) { periods = periods + 1; }

#if defined(TINYML_PORT_INSTRUCTIONS_NUMERATOR)
static int cycle_counter_runs(void) {
#if defined(__ARM_ARCH_6M__)
  return 0; /* these cores have none */
#else
  DEMCR |= 1u << 24; /* TRCENA */
  DWT_CYCCNT = 0;
  DWT_CTRL |= 1u; /* CYCCNTENA */
  const uint32_t before = DWT_CYCCNT;
  __asm volatile("nop\n nop\n nop\n nop");
  return DWT_CYCCNT != before;
#endif
}
#endif

void tinyml_port_counter_init(uint32_t clock_hz) {
  scale.clock_hz = clock_hz;
  scale.unit = TINYML_UNIT_CYCLES;
  scale.numerator = 1;
  scale.denominator = 1;
#if defined(TINYML_PORT_INSTRUCTIONS_NUMERATOR)
  if (!cycle_counter_runs()) {
    scale.clock_hz = 0; /* an emulator has none */
    scale.unit = TINYML_UNIT_INSTRUCTIONS;
    scale.numerator = TINYML_PORT_INSTRUCTIONS_NUMERATOR;
    scale.denominator = TINYML_PORT_INSTRUCTIONS_DENOMINATOR;
  }
#endif
  SYST_CSR = 0;
  SYST_RVR = SYSTICK_PERIOD - 1;
  tinyml_port_counter_reset();
}

tinyml_port_scale tinyml_port_counter_scale(void) { return scale; }

void tinyml_port_counter_reset(void) {
  SYST_CSR = 0;
  SCB_ICSR = ICSR_PENDSTCLR;
  periods = 0;
  SYST_CVR = 0; /* any write clears it; the next tick loads the reload value */
  SYST_CSR = 7; /* processor clock, interrupt, enable */
}

/* The counter runs down and raises its interrupt as it reaches 0, so 0 is the
 * first value of a new period. */
static uint32_t elapsed(void) { return (SYSTICK_PERIOD - SYST_CVR) & (SYSTICK_PERIOD - 1); }

uint64_t tinyml_port_ticks(void) {
  __asm volatile("cpsid i" ::: "memory");
  uint32_t low = elapsed();
  uint32_t high = periods;
  if (SCB_ICSR & ICSR_PENDSTSET) {
    low = elapsed(); /* the first reading may be from before the period ended */
    ++high;
  }
  __asm volatile("cpsie i" ::: "memory");
  return (uint64_t)high * SYSTICK_PERIOD + low;
}
