/* The clock tree of STM32H742/743/753 (RM0433).
 *
 * Revision V runs at TINYML_PORT_CLOCK_HZ, older ones (the first boards) at 400 MHz (DS12110). */
#include <stdint.h>

#include "../stm32/stm32.h"

#define RCC 0x58024400u
#define RCC_CFGR REG32(RCC + 0x10u)
#define RCC_D1CFGR REG32(RCC + 0x18u)
#define RCC_D2CFGR REG32(RCC + 0x1Cu)
#define RCC_D3CFGR REG32(RCC + 0x20u)
#define RCC_PLLCKSELR REG32(RCC + 0x28u)
#define RCC_PLLCFGR REG32(RCC + 0x2Cu)
#define RCC_PLL1DIVR REG32(RCC + 0x30u)
#define RCC_APB4ENR REG32(RCC + 0xF4u)
#define PWR 0x58024800u
#define PWR_CSR1 (PWR + 0x04u)
#define PWR_CR3 REG32(PWR + 0x0Cu)
#define PWR_D3CR (PWR + 0x18u)
#define SYSCFG_PWRCR REG32(0x5800042Cu)
#define DBGMCU_IDC REG32(0x5C001000u)
#define AXI_TARG7_FN_MOD REG32(0x51008108u)
#define FLASH_ACR 0x52002000u

#define HSI_HZ UINT32_C(64000000)
#define PLL_INPUT_HZ UINT32_C(2000000)
#define OLD_CLOCK_HZ UINT32_C(400000000)
#define REVISION_V 0x2003u

#define CFGR_SW_PLL1 3u
#define CFGR_SWS_MASK (7u << 3)
#define CFGR_SWS_PLL1 (3u << 3)
#define D1CFGR_HALVES ((4u << 4) | 8u) /* AHB half of the core, APB3 half of that */
#define D2CFGR_HALVES ((4u << 8) | (4u << 4))
#define D3CFGR_HALF (4u << 4)
#define PLLCKSELR_HSE 2u
#define PLLCFGR_RANGE_2_4 (1u << 2)
#define PLLCFGR_DIVP1EN (1u << 16)
#define APB4ENR_SYSCFGEN (1u << 1)
#define CR3_SUPPLY_MASK 7u
#define CR3_LDOEN (1u << 1)
#define CSR1_ACTVOSRDY (1u << 13)
#define D3CR_VOSRDY (1u << 13)
#define D3CR_VOS1 (3u << 14)
#define PWRCR_ODEN (1u << 0)
#define ACR_OLD                                                                    \
  0x22u /* 2 wait states, programming delay 2: for an AXI clock of 200 MHz in VOS1 \
         */

static const stm32_clocks internal = {HSI_HZ, HSI_HZ, HSI_HZ};

/* The supply, which has to be said once, and the voltage scale that the full speed needs. */
static int raise_voltage(int revision_v) {
  PWR_CR3 = (PWR_CR3 & ~CR3_SUPPLY_MASK) | CR3_LDOEN;
  if (!stm32_wait(PWR_CSR1, CSR1_ACTVOSRDY, CSR1_ACTVOSRDY, STM32_POLLS)) return 0;
  REG32(PWR_D3CR) |= D3CR_VOS1;
  if (!stm32_wait(PWR_D3CR, D3CR_VOSRDY, D3CR_VOSRDY, STM32_POLLS)) return 0;
  if (!revision_v) return 1;
  RCC_APB4ENR |= APB4ENR_SYSCFGEN;
  (void)RCC_APB4ENR;
  SYSCFG_PWRCR |= PWRCR_ODEN; /* from VOS1 to VOS0 */
  return stm32_wait(PWR_D3CR, D3CR_VOSRDY, D3CR_VOSRDY, STM32_POLLS);
}

/* The PLL multiplies 2 MHz up to twice the core clock. */
stm32_clocks stm32_start_clocks(void) {
  const int revision_v = (DBGMCU_IDC >> 16) >= REVISION_V;
  const uint32_t core_hz = revision_v ? TINYML_PORT_CLOCK_HZ : OLD_CLOCK_HZ;
  /* Errata ES0392: before revision V, several reads from AXI SRAM at a time may return wrong data.
   */
  if (!revision_v) AXI_TARG7_FN_MOD = 1u;
  if (!raise_voltage(revision_v)) return internal;

  const int external = stm32_start_external(RCC);
  const uint32_t source_hz = external ? TINYML_PORT_HSE_HZ : HSI_HZ;
  const uint32_t m = source_hz / PLL_INPUT_HZ;
  const uint32_t n = 2u * core_hz / PLL_INPUT_HZ;
  RCC_PLLCKSELR = (m << 4) | (external ? PLLCKSELR_HSE : 0u);
  RCC_PLLCFGR = PLLCFGR_RANGE_2_4 | PLLCFGR_DIVP1EN; /* and the wide oscillator, 192 to 960 MHz */
  RCC_PLL1DIVR = (n - 1u) | (1u << 9);               /* P = 2 */
  if (!stm32_start_pll(RCC)) return internal;
  if (stm32_set(FLASH_ACR, revision_v ? TINYML_PORT_FLASH_ACR : ACR_OLD)) {
    RCC_D1CFGR = D1CFGR_HALVES;
    RCC_D2CFGR = D2CFGR_HALVES;
    RCC_D3CFGR = D3CFGR_HALF;
    RCC_CFGR = CFGR_SW_PLL1;
    if (stm32_wait(RCC + 0x10u, CFGR_SWS_MASK, CFGR_SWS_PLL1, STM32_POLLS)) {
      const stm32_clocks full = {core_hz, core_hz / 4u, core_hz / 4u};
      return full;
    }
    RCC_CFGR = 0; /* back to the internal oscillator */
    RCC_D1CFGR = 0;
    RCC_D2CFGR = 0;
    RCC_D3CFGR = 0;
  }
  stm32_stop_pll(RCC);
  return internal;
}
