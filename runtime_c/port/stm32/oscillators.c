/* The external clock and the main PLL, of which RCC_CR is the same in RM0090, RM0390, RM0385,
 * RM0432, RM0433 and RM0456. */
#include "stm32.h"

#define CR_HSION (1u << 8)
#define CR_HSIRDY (1u << 10)
#define CR_HSEON (1u << 16)
#define CR_HSERDY (1u << 17)
#define CR_HSEBYP (1u << 18)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)

int stm32_wait(uintptr_t address, uint32_t mask, uint32_t value, uint32_t polls) {
  while (polls-- > 0) {
    if ((REG32(address) & mask) == value) return 1;
  }
  return 0;
}

int stm32_set(uintptr_t address, uint32_t value) {
  REG32(address) = value;
  return stm32_wait(address, UINT32_MAX, value, STM32_POLLS);
}

void stm32_settle(uintptr_t address) {
  for (uint32_t i = 0; i < 200u; ++i) (void)REG32(address);
}

int stm32_start_hsi16(uintptr_t rcc_cr) {
  REG32(rcc_cr) |= CR_HSION;
  return stm32_wait(rcc_cr, CR_HSIRDY, CR_HSIRDY, STM32_POLLS);
}

int stm32_start_external(uintptr_t rcc_cr) {
  if (TINYML_PORT_HSE_HZ == 0) return 0;
  /* A clock from elsewhere, such as the programmer's: the oscillator must be off to be bypassed. */
  if (TINYML_PORT_HSE_BYPASS) REG32(rcc_cr) |= CR_HSEBYP;
  REG32(rcc_cr) |= CR_HSEON;
  if (stm32_wait(rcc_cr, CR_HSERDY, CR_HSERDY, STM32_CRYSTAL_POLLS)) return 1;
  REG32(rcc_cr) &= ~CR_HSEON;
  return 0;
}

int stm32_start_pll(uintptr_t rcc_cr) {
  REG32(rcc_cr) |= CR_PLLON;
  if (stm32_wait(rcc_cr, CR_PLLRDY, CR_PLLRDY, STM32_POLLS)) return 1;
  stm32_stop_pll(rcc_cr);
  return 0;
}

void stm32_stop_pll(uintptr_t rcc_cr) { REG32(rcc_cr) &= ~CR_PLLON; }
