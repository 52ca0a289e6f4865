/* STM32F405/407: clock tree and USART1 on PA9 (TX) and PA10 (RX). Registers: RM0090. */
#include <stddef.h>
#include <stdint.h>

#include "../cortexm/cortexm.h"
#include "tinyml_port.h"

#define RCC_CR REG32(0x40023800u)
#define RCC_PLLCFGR REG32(0x40023804u)
#define RCC_CFGR REG32(0x40023808u)
#define RCC_AHB1ENR REG32(0x40023830u)
#define RCC_APB1ENR REG32(0x40023840u)
#define RCC_APB2ENR REG32(0x40023844u)
#define PWR_CR REG32(0x40007000u)
#define FLASH_ACR REG32(0x40023C00u)
#define GPIOA_MODER REG32(0x40020000u)
#define GPIOA_OSPEEDR REG32(0x40020008u)
#define GPIOA_PUPDR REG32(0x4002000Cu)
#define GPIOA_AFRH REG32(0x40020024u)
#define USART1_SR REG32(0x40011000u)
#define USART1_DR REG32(0x40011004u)
#define USART1_BRR REG32(0x40011008u)
#define USART1_CR1 REG32(0x4001100Cu)

#define HSI_HZ UINT32_C(16000000)

#define CR_HSEON (1u << 16)
#define CR_HSERDY (1u << 17)
#define CR_PLLON (1u << 24)
#define CR_PLLRDY (1u << 25)
#define PLLCFGR_RESERVED 0xF0BC8000u
#define CFGR_SW_PLL 2u
#define CFGR_SWS_MASK (3u << 2)
#define CFGR_SWS_PLL (2u << 2)
#define CFGR_PPRE1_DIV4 (5u << 10)
#define CFGR_PPRE2_DIV2 (4u << 13)
#define SR_RXNE (1u << 5)
#define SR_TXE (1u << 7)

/* Polls of a ready bit before giving up, at least 10 cycles of the 16 MHz
 * oscillator each: a crystal takes 2 ms to start, the PLL 0.3 ms to lock. An
 * emulator without an RCC never sets the bits and must not be waited for. */
#define CRYSTAL_POLLS 16000u
#define PLL_POLLS 2000u

static int wait_for(const volatile uint32_t *reg, uint32_t mask, uint32_t value, uint32_t polls) {
  while (polls-- > 0) {
    if ((*reg & mask) == value) return 1;
  }
  return 0;
}

/* Brings the core to TINYML_PORT_CLOCK_HZ by the PLL, from the crystal if it
 * starts and else from the internal oscillator; returns the clock that runs.
 * The PLL multiplies 1 MHz up to twice the core clock. */
static uint32_t start_clock(void) {
  RCC_CR |= CR_HSEON;
  const int crystal = wait_for(&RCC_CR, CR_HSERDY, CR_HSERDY, CRYSTAL_POLLS);
  const uint32_t source_hz = crystal ? TINYML_PORT_HSE_HZ : HSI_HZ;
  const uint32_t m = source_hz / 1000000u;
  const uint32_t n = 2u * TINYML_PORT_CLOCK_HZ / 1000000u;
  const uint32_t q = 2u * TINYML_PORT_CLOCK_HZ / 48000000u;

  RCC_APB1ENR |= 1u << 28; /* PWR, for the voltage scale that 168 MHz needs */
  (void)RCC_APB1ENR;
  PWR_CR |= 1u << 14;
  /* P = 2 is coded as 0 in bits 16 and 17. */
  RCC_PLLCFGR =
      (RCC_PLLCFGR & PLLCFGR_RESERVED) | m | (n << 6) | ((uint32_t)crystal << 22) | (q << 24);
  RCC_CR |= CR_PLLON;
  if (!wait_for(&RCC_CR, CR_PLLRDY, CR_PLLRDY, PLL_POLLS)) {
    RCC_CR &= ~CR_PLLON;
    return HSI_HZ;
  }
  /* Five wait states at 168 MHz and 3.3 V; prefetch and both flash caches. */
  FLASH_ACR = 5u | (1u << 8) | (1u << 9) | (1u << 10);
  (void)FLASH_ACR;
  RCC_CFGR = CFGR_PPRE1_DIV4 | CFGR_PPRE2_DIV2;
  RCC_CFGR = CFGR_PPRE1_DIV4 | CFGR_PPRE2_DIV2 | CFGR_SW_PLL;
  if (wait_for(&RCC_CFGR, CFGR_SWS_MASK, CFGR_SWS_PLL, PLL_POLLS)) return TINYML_PORT_CLOCK_HZ;
  RCC_CFGR = CFGR_PPRE1_DIV4 | CFGR_PPRE2_DIV2; /* back to the internal oscillator */
  return HSI_HZ;
}

static void start_uart(uint32_t pclk_hz) {
  RCC_AHB1ENR |= 1u << 0;
  RCC_APB2ENR |= 1u << 4;
  (void)RCC_APB2ENR; /* the clock takes two cycles to arrive */
  GPIOA_AFRH = (GPIOA_AFRH & ~0xFF0u) | 0x770u;
  GPIOA_OSPEEDR |= 2u << 18;
  GPIOA_PUPDR = (GPIOA_PUPDR & ~(0xFu << 18)) | (1u << 20); /* RX idles high when open */
  GPIOA_MODER = (GPIOA_MODER & ~(0xFu << 18)) | (0xAu << 18);
  USART1_BRR = (pclk_hz + TINYML_PORT_BAUD / 2u) / TINYML_PORT_BAUD;
  USART1_CR1 = (1u << 13) | (1u << 3) | (1u << 2);
}

void tinyml_port_init(void) {
  const uint32_t clock_hz = start_clock();
  const uint32_t apb2_divider = (RCC_CFGR & CFGR_PPRE2_DIV2) ? 2u : 1u;
  start_uart(clock_hz / apb2_divider);
  tinyml_port_counter_init(clock_hz);
}

int tinyml_port_read(void) {
  while (!(USART1_SR & SR_RXNE)) {
  }
  return (int)(USART1_DR & 0xFFu); /* also clears an overrun, which SR has shown */
}

void tinyml_port_write(const uint8_t *data, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    while (!(USART1_SR & SR_TXE)) {
    }
    USART1_DR = data[i];
  }
}
