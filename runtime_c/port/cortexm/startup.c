/* Reset, vector table, faults and the stack of a Cortex-M. Symbols come from the linker script. */
#include <stddef.h>
#include <stdint.h>

#include "cortexm.h"
#include "tinyml_port.h"

extern uint32_t tinyml_stack_limit[], tinyml_stack_top[];
extern uint32_t tinyml_data_load[], tinyml_data_start[], tinyml_data_end[];
extern uint32_t tinyml_bss_start[], tinyml_bss_end[];

int main(void);
void tinyml_port_reset(void);
void tinyml_port_fault(void);
void tinyml_port_systick(void);
void tinyml_port_fault_c(const uint32_t *frame);

typedef void (*handler)(void);

/* Only system exceptions: no peripheral interrupt is ever enabled. */
typedef struct {
  uint32_t *stack_top;
  handler handlers[15];
} vector_table;

__attribute__((section(".vectors"), used)) static const vector_table vectors = {
    tinyml_stack_top,
    {tinyml_port_reset, tinyml_port_fault, tinyml_port_fault, tinyml_port_fault, tinyml_port_fault,
     tinyml_port_fault, tinyml_port_fault, NULL, NULL, NULL, tinyml_port_fault, tinyml_port_fault,
     NULL, tinyml_port_fault, tinyml_port_systick}};

void tinyml_port_reset(void) {
#if defined(__ARM_FP) || defined(__ARM_PCS_VFP) /* Zig defines only the latter */
  SCB_CPACR |= 0xFu << 20;                      /* full access to the floating-point unit */
  BARRIER();
#endif
#if defined(TINYML_PORT_LOW_OVERHEAD_LOOPS)
  SCB_CCR |= 1u << 19; /* LOB. Board data says so: GCC 12 has no macro for Armv8.1-M */
  BARRIER();
#endif
#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)
  __asm volatile("msr msplim, %0" ::"r"(tinyml_stack_limit));
#endif
#if !defined(__ARM_ARCH_6M__)
  SCB_VTOR = (uint32_t)(uintptr_t)&vectors;
#endif
  const uint32_t *from = tinyml_data_load;
  for (uint32_t *to = tinyml_data_start; to < tinyml_data_end; ++to) *to = *from++;
  for (uint32_t *to = tinyml_bss_start; to < tinyml_bss_end; ++to) *to = 0;
  (void)main();
  for (;;) {
  }
}

/* The stack may be what broke: with less than 256 bytes left, the report gets a fresh one. */
__attribute__((naked)) void tinyml_port_fault(void) {
  __asm volatile(
      ".syntax unified\n"
      "mov r0, sp\n"
      "ldr r1, =tinyml_stack_limit\n"
      "adds r1, #255\n"
      "cmp r0, r1\n"
      "bhs 1f\n"
      "ldr r1, =tinyml_stack_top\n"
      "mov sp, r1\n"
      "1: bl tinyml_port_fault_c\n"
      ".ltorg\n");
}

__attribute__((used, noreturn)) void tinyml_port_fault_c(const uint32_t *frame) {
  const uintptr_t at = (uintptr_t)frame;
  const uintptr_t limit = (uintptr_t)tinyml_stack_limit;
  const uintptr_t top = (uintptr_t)tinyml_stack_top;
#if defined(__ARM_ARCH_6M__)
  const uint32_t cause = 0;
#else
  const uint32_t cause = SCB_CFSR;
#endif
  /* The fresh stack overwrites the topmost words: the frame is passed only if it lies well below.
   */
  const int sound = at % 4u == 0 && at >= limit && at + 8 * sizeof(uint32_t) <= top;
  tinyml_port_on_fault(sound ? frame : NULL, cause);
  for (;;) {
  }
}

static uint8_t *stack_pointer(void) {
  uint8_t *sp;
  __asm volatile("mov %0, sp" : "=r"(sp));
  return sp;
}

void tinyml_port_paint_stack(uint8_t pattern) {
  uint8_t *const end = stack_pointer();
  for (volatile uint8_t *p = (uint8_t *)tinyml_stack_limit; p < end; ++p) *p = pattern;
}

uint32_t tinyml_port_stack_used(uint8_t pattern) {
  const uint8_t *p = (const uint8_t *)tinyml_stack_limit;
  while (p < (const uint8_t *)tinyml_stack_top && *p == pattern) ++p;
  return (uint32_t)((const uint8_t *)tinyml_stack_top - p);
}
