/* The clock tree of STM32F4 (RM0090, RM0390) and STM32F7 (RM0385). */
#include <stdint.h>

#include "../stm32/stm32.h"

#define RCC 0x40023800u
#define RCC_PLLCFGR REG32(RCC + 0x04u)
#define RCC_CFGR REG32(RCC + 0x08u)
#define RCC_APB1ENR REG32(RCC + 0x40u)
#define PWR 0x40007000u
#define PWR_CR REG32(PWR + 0x00u)
#define PWR_CSR (PWR + 0x04u)
#define FLASH_ACR 0x40023C00u

#define HSI_HZ UINT32_C(16000000)

/* STM32F4: what has no function, and the divider R, which stays as it is. */
#define PLLCFGR_KEPT 0xF0BC8000u
#define PLLCFGR_HSE_POSITION 22u
#define CFGR_SW_PLL 2u
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (2u << 2)
#define CFGR_PPRE1_DIV4 (5u << 10)
#define CFGR_PPRE2_DIV2 (4u << 13)
#define PRESCALERS (CFGR_PPRE1_DIV4 | CFGR_PPRE2_DIV2)
#define APB1ENR_PWREN (1u << 28)
#define CR_VOS_SCALE1 (1u << 14)
#define CR_VOS_MASK (3u << 14) /* both bits set where there are two: scale 1 */
#define CR_ODEN (1u << 16)
#define CR_ODSWEN (1u << 17)
#define CSR_ODRDY (1u << 16)
#define CSR_ODSWRDY (1u << 17)

static const stm32_clocks internal = {HSI_HZ, HSI_HZ, HSI_HZ};

/* What lets the core run at more than scale 1 does: off again where it does not become ready. */
static int start_overdrive(void) {
  if (!TINYML_PORT_OVERDRIVE) return 1;
  PWR_CR |= CR_ODEN;
  if (stm32_wait(PWR_CSR, CSR_ODRDY, CSR_ODRDY, STM32_POLLS)) {
    PWR_CR |= CR_ODSWEN;
    if (stm32_wait(PWR_CSR, CSR_ODSWRDY, CSR_ODSWRDY, STM32_POLLS)) return 1;
  }
  PWR_CR &= ~(CR_ODEN | CR_ODSWEN);
  return 0;
}

/* The PLL multiplies 1 MHz up to twice the core clock. */
stm32_clocks stm32_start_clocks(void) {
  const int external = stm32_start_external(RCC);
  const uint32_t source_hz = external ? TINYML_PORT_HSE_HZ : HSI_HZ;
  const uint32_t m = source_hz / 1000000u;
  const uint32_t n = 2u * TINYML_PORT_CLOCK_HZ / 1000000u;
  const uint32_t q = (n + 47u) / 48u; /* what USB would get is 48 MHz at most */

  RCC_APB1ENR |= APB1ENR_PWREN; /* for the voltage scale that the full speed needs */
  (void)RCC_APB1ENR;
  PWR_CR |= TINYML_PORT_OVERDRIVE ? CR_VOS_MASK : CR_VOS_SCALE1;
  /* P = 2 is coded as 0 in bits 16 and 17. */
  RCC_PLLCFGR = (RCC_PLLCFGR & PLLCFGR_KEPT) | m | (n << 6) |
                ((uint32_t)external << PLLCFGR_HSE_POSITION) | (q << 24);
  if (!stm32_start_pll(RCC)) return internal;
  if (!start_overdrive()) {
    stm32_stop_pll(RCC);
    return internal;
  }
  /* Wait states, prefetch (bit 8), and what else makes flash fast: bits 9 and 10 are the caches of
   * an STM32F4, bit 9 is the accelerator of an STM32F7. */
  if (!stm32_set(FLASH_ACR, TINYML_PORT_FLASH_ACR)) {
    stm32_stop_pll(RCC);
    return internal;
  }
  RCC_CFGR = PRESCALERS;
  RCC_CFGR = PRESCALERS | CFGR_SW_PLL;
  if (stm32_wait(RCC + 0x08u, CFGR_SWS_MASK, CFGR_SWS_PLL, STM32_POLLS)) {
    const stm32_clocks full = {TINYML_PORT_CLOCK_HZ, TINYML_PORT_CLOCK_HZ / 4u,
                               TINYML_PORT_CLOCK_HZ / 2u};
    return full;
  }
  RCC_CFGR = 0; /* back to the internal oscillator */
  stm32_stop_pll(RCC);
  return internal;
}
