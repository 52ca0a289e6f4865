/* What the families of STM32 share: the oscillators' bits, and what a family must bring. */
#ifndef TINYML_PORT_STM32_H
#define TINYML_PORT_STM32_H

#include <stdint.h>

#include "../cortexm/cortexm.h"

/* The clocks that run, in Hz. */
typedef struct {
  uint32_t core;
  uint32_t apb1;
  uint32_t apb2;
} stm32_clocks;

/* Polls of a ready bit before giving up, a tenth of a microsecond each at the least (at 64 MHz): a
 * crystal takes 2 ms to start, a PLL 0.3 ms to lock, a regulator less than 1 ms. An emulator
 * without an RCC never sets the bits and must not be waited for. */
#define STM32_CRYSTAL_POLLS 40000u
#define STM32_POLLS 20000u

/* Provided by the family: brings the core to TINYML_PORT_CLOCK_HZ, or less where something that
 * this needs does not start; never waits for ever. */
stm32_clocks stm32_start_clocks(void);

/* Whether the bits `mask` of the register at `address` become `value` within `polls` readings. */
int stm32_wait(uintptr_t address, uint32_t mask, uint32_t value, uint32_t polls);

/* Writes `value` to the register at `address`, and waits until it reads so. */
int stm32_set(uintptr_t address, uint32_t value);

/* Lets more than a microsecond pass, at up to 160 MHz. */
void stm32_settle(uintptr_t address);

/* Starts the external clock; `rcc_cr` is the address of RCC_CR, whose bits for it and for the main
 * PLL are the same in all families. False where there is none (TINYML_PORT_HSE_HZ is 0) or it does
 * not start. */
int stm32_start_external(uintptr_t rcc_cr);

/* Starts the internal oscillator of 16 MHz, where RCC_CR is that of STM32L4 and STM32U5. */
int stm32_start_hsi16(uintptr_t rcc_cr);

/* Starts the main PLL, which has been set up. Where it does not lock, it is off again. */
int stm32_start_pll(uintptr_t rcc_cr);
void stm32_stop_pll(uintptr_t rcc_cr);

#endif
