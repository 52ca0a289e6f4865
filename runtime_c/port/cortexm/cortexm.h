/* Registers that every Cortex-M has at the same place (Armv7-M ARM, B3). */
#ifndef TINYML_PORT_CORTEXM_H
#define TINYML_PORT_CORTEXM_H

#include <stdint.h>

#define REG32(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define SYST_CSR REG32(0xE000E010u)
#define SYST_RVR REG32(0xE000E014u)
#define SYST_CVR REG32(0xE000E018u)
#define SCB_ICSR REG32(0xE000ED04u)
#define SCB_VTOR REG32(0xE000ED08u)
#define SCB_CCR REG32(0xE000ED14u)
#define SCB_CCSIDR REG32(0xE000ED80u)
#define SCB_CSSELR REG32(0xE000ED84u)
#define SCB_CFSR REG32(0xE000ED28u)
#define SCB_CPACR REG32(0xE000ED88u)
#define SCB_ICIALLU REG32(0xE000EF50u)
#define SCB_DCISW REG32(0xE000EF60u)
#define DEMCR REG32(0xE000EDFCu)
#define DWT_CTRL REG32(0xE0001000u)
#define DWT_CYCCNT REG32(0xE0001004u)

/* Everything before it is done before anything after it is fetched. */
#define BARRIER() __asm volatile("dsb\n isb" ::: "memory")

/* Of cores that have caches (port folder cortexm7): turns both on, empty. A buffer that a DMA
 * controller shares must then be cleaned or invalidated around it, or be in a TCM. */
void tinyml_port_caches_on(void);

/* What the chip's tinyml_port_init calls first; `clock_hz` is the processor clock. */
void tinyml_port_counter_init(uint32_t clock_hz);

#endif
