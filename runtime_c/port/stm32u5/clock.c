/* The clock tree and the instruction cache of STM32U575/585 (RM0456), without TrustZone. */
#include <stdint.h>

#include "../stm32/stm32.h"

#define RCC 0x46020C00u
#define RCC_CFGR1 REG32(RCC + 0x1Cu)
#define RCC_CFGR2 REG32(RCC + 0x20u)
#define RCC_PLL1CFGR REG32(RCC + 0x28u)
#define RCC_PLL1DIVR REG32(RCC + 0x34u)
#define RCC_AHB3ENR REG32(RCC + 0x94u)
#define PWR_VOSR 0x4602080Cu
#define FLASH_ACR 0x40022000u
#define ICACHE_CR REG32(0x40030400u)
#define ICACHE_SR 0x40030404u

#define MSI_HZ UINT32_C(4000000) /* what runs after reset */
#define HSI_HZ UINT32_C(16000000)
#define PLL_INPUT_HZ UINT32_C(4000000)

#define CFGR1_SW_PLL1 3u
#define CFGR1_SWS_MASK (3u << 2)
#define CFGR1_SWS_PLL1 (3u << 2)
#define CFGR2_HPRE_DIV2 8u
/* Input range 0 is 4 to 8 MHz; the booster gets the source undivided, 4 to 16 MHz. */
#define PLL1CFGR_SRC_HSI16 2u
#define PLL1CFGR_SRC_HSE 3u
#define PLL1CFGR_REN (1u << 18)
#define AHB3ENR_PWREN (1u << 2)
#define VOSR_BOOSTRDY (1u << 14)
#define VOSR_VOSRDY (1u << 15)
#define VOSR_RANGE1 (3u << 16)
#define VOSR_BOOSTEN (1u << 18)
#define ICACHE_SR_BUSYF 1u
#define ICACHE_CR_EN 1u

static const stm32_clocks internal = {MSI_HZ, MSI_HZ, MSI_HZ};

/* After reset it invalidates itself, and must not be turned on before that is done. */
static void start_cache(void) {
  if (stm32_wait(ICACHE_SR, ICACHE_SR_BUSYF, 0u, STM32_POLLS)) ICACHE_CR |= ICACHE_CR_EN;
}

/* Range 1 and, with the PLL's source chosen, the booster, which more than 55 MHz needs. */
static int raise_voltage(void) {
  REG32(PWR_VOSR) |= VOSR_RANGE1;
  if (!stm32_wait(PWR_VOSR, VOSR_VOSRDY, VOSR_VOSRDY, STM32_POLLS)) return 0;
  REG32(PWR_VOSR) |= VOSR_BOOSTEN;
  return stm32_wait(PWR_VOSR, VOSR_BOOSTRDY, VOSR_BOOSTRDY, STM32_POLLS);
}

/* The PLL multiplies 4 MHz up to twice the core clock. */
stm32_clocks stm32_start_clocks(void) {
  start_cache();
  RCC_AHB3ENR |= AHB3ENR_PWREN;
  (void)RCC_AHB3ENR;

  const int external = stm32_start_external(RCC);
  if (!external && !stm32_start_hsi16(RCC)) return internal;
  const uint32_t source_hz = external ? TINYML_PORT_HSE_HZ : HSI_HZ;
  const uint32_t m = source_hz / PLL_INPUT_HZ;
  const uint32_t n = 2u * TINYML_PORT_CLOCK_HZ / PLL_INPUT_HZ;
  RCC_PLL1CFGR =
      (external ? PLL1CFGR_SRC_HSE : PLL1CFGR_SRC_HSI16) | ((m - 1u) << 8) | PLL1CFGR_REN;
  RCC_PLL1DIVR = (n - 1u) | (1u << 24); /* R = 2 */
  if (!raise_voltage() || !stm32_start_pll(RCC)) return internal;
  /* Wait states and prefetch. */
  if (stm32_set(FLASH_ACR, TINYML_PORT_FLASH_ACR)) {
    /* Over 80 MHz in two steps, a microsecond apart. */
    RCC_CFGR2 = CFGR2_HPRE_DIV2;
    RCC_CFGR1 = CFGR1_SW_PLL1;
    if (stm32_wait(RCC + 0x1Cu, CFGR1_SWS_MASK, CFGR1_SWS_PLL1, STM32_POLLS)) {
      stm32_settle(RCC);
      RCC_CFGR2 = 0;
      const stm32_clocks full = {TINYML_PORT_CLOCK_HZ, TINYML_PORT_CLOCK_HZ, TINYML_PORT_CLOCK_HZ};
      return full;
    }
    RCC_CFGR1 = 0; /* back to what runs after reset */
    RCC_CFGR2 = 0;
  }
  stm32_stop_pll(RCC);
  return internal;
}
