/* The clock tree of STM32L4+ (RM0432). */
#include <stdint.h>

#include "../stm32/stm32.h"

#define RCC 0x40021000u
#define RCC_CFGR REG32(RCC + 0x08u)
#define RCC_PLLCFGR REG32(RCC + 0x0Cu)
#define RCC_APB1ENR1 REG32(RCC + 0x58u)
#define PWR_CR2 REG32(0x40007004u)
#define PWR_CR5 REG32(0x40007080u)
#define FLASH_ACR 0x40022000u

#define MSI_HZ UINT32_C(4000000) /* what runs after reset */
#define HSI_HZ UINT32_C(16000000)
#define PLL_INPUT_HZ UINT32_C(4000000)

#define CFGR_SW_PLL 3u
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (3u << 2)
#define CFGR_HPRE_DIV2 (8u << 4)
#define PLLCFGR_SRC_HSI16 2u
#define PLLCFGR_SRC_HSE 3u
#define PLLCFGR_REN (1u << 24) /* R itself is 0 for 2 */
#define APB1ENR1_PWREN (1u << 28)
#define CR2_IOSV (1u << 9)
#define CR5_R1MODE (1u << 8)

static const stm32_clocks internal = {MSI_HZ, MSI_HZ, MSI_HZ};

/* The PLL multiplies 4 MHz up to twice the core clock. */
stm32_clocks stm32_start_clocks(void) {
  RCC_APB1ENR1 |= APB1ENR1_PWREN;
  (void)RCC_APB1ENR1;
  PWR_CR2 |= CR2_IOSV; /* pins PG2 to PG15 have a supply of their own, which has to be let in */

  const int external = stm32_start_external(RCC);
  if (!external && !stm32_start_hsi16(RCC)) return internal;
  const uint32_t source_hz = external ? TINYML_PORT_HSE_HZ : HSI_HZ;
  const uint32_t m = source_hz / PLL_INPUT_HZ;
  const uint32_t n = 2u * TINYML_PORT_CLOCK_HZ / PLL_INPUT_HZ;

  PWR_CR5 &= ~CR5_R1MODE; /* range 1 boosted: what more than 80 MHz needs */
  RCC_PLLCFGR =
      (external ? PLLCFGR_SRC_HSE : PLLCFGR_SRC_HSI16) | ((m - 1u) << 4) | (n << 8) | PLLCFGR_REN;
  if (!stm32_start_pll(RCC)) return internal;
  /* Wait states, prefetch and both caches. */
  if (stm32_set(FLASH_ACR, TINYML_PORT_FLASH_ACR)) {
    /* Over 80 MHz in two steps, a microsecond apart. */
    RCC_CFGR = CFGR_HPRE_DIV2 | CFGR_SW_PLL;
    if (stm32_wait(RCC + 0x08u, CFGR_SWS_MASK, CFGR_SWS_PLL, STM32_POLLS)) {
      stm32_settle(RCC);
      RCC_CFGR = CFGR_SW_PLL;
      const stm32_clocks full = {TINYML_PORT_CLOCK_HZ, TINYML_PORT_CLOCK_HZ, TINYML_PORT_CLOCK_HZ};
      return full;
    }
    RCC_CFGR = 0; /* back to what runs after reset */
  }
  stm32_stop_pll(RCC);
  return internal;
}
