/* Reset, traps and the stack of a RISC-V core without an operating system. Symbols come from the
 * linker script. */
#include <stddef.h>
#include <stdint.h>

#include "riscv.h"
#include "tinyml_port.h"

extern uint32_t tinyml_stack_limit[], tinyml_stack_top[], tinyml_vectors_start[];
extern uint32_t tinyml_data_load[], tinyml_data_start[], tinyml_data_end[];
extern uint32_t tinyml_bss_start[], tinyml_bss_end[];

int main(void);
void tinyml_port_reset(void);
void tinyml_port_fault(void);
void tinyml_port_start_c(void);
void tinyml_port_fault_c(uint32_t pc, uint32_t ra, uint32_t cause, uint32_t sp);

/* The first instruction, at the address where the core starts. */
__attribute__((naked, section(".vectors"), used)) void tinyml_port_reset(void) {
  __asm volatile(
      "la sp, tinyml_stack_top\n"
      "j tinyml_port_start_c\n");
}

/* Nobody writes to what is flash on a chip: a stack that runs over its end shall be a fault, also
 * where an emulator has plain memory there. The entry is locked, or machine mode would be above it:
 * a naturally aligned range of a power of two, read and execute. */
static void protect_flash(void) {
  const uint32_t range =
      (uint32_t)(uintptr_t)tinyml_vectors_start | (TINYML_PORT_FLASH_BYTES / 2 - 1);
  CSR_WRITE("pmpaddr0", range >> 2);
  CSR_WRITE("pmpcfg0", 0x80u | 0x18u | 4u | 1u);
}

__attribute__((used)) void tinyml_port_start_c(void) {
  CSR_WRITE("mtvec", (uint32_t)(uintptr_t)tinyml_port_fault); /* its low bits are 0: direct */
  protect_flash();
  const uint32_t *from = tinyml_data_load;
  for (uint32_t *to = tinyml_data_start; to < tinyml_data_end; ++to) *to = *from++;
  for (uint32_t *to = tinyml_bss_start; to < tinyml_bss_end; ++to) *to = 0;
  (void)main();
  for (;;) {
  }
}

/* The stack may be what broke: with less than 256 bytes left, the report gets a fresh one. */
__attribute__((naked, aligned(4))) void tinyml_port_fault(void) {
  __asm volatile(
      WITH_CSRS("csrr a0, mepc\n"
                "mv a1, ra\n"
                "csrr a2, mcause\n"
                "mv a3, sp\n"
                "la t0, tinyml_stack_limit\n"
                "addi t0, t0, 255\n"
                "bgeu sp, t0, 1f\n"
                "la sp, tinyml_stack_top\n"
                "1: j tinyml_port_fault_c"));
}

__attribute__((used, noreturn)) void tinyml_port_fault_c(uint32_t pc, uint32_t ra, uint32_t cause,
                                                         uint32_t sp) {
  const uint32_t limit = (uint32_t)(uintptr_t)tinyml_stack_limit;
  const uint32_t top = (uint32_t)(uintptr_t)tinyml_stack_top;
  const uint32_t frame[8] = {0, 0, 0, 0, 0, ra, pc, 0};
  tinyml_port_on_fault(sp >= limit && sp <= top ? frame : NULL, cause);
  for (;;) {
  }
}

static uint8_t *stack_pointer(void) {
  uint8_t *sp;
  __asm volatile("mv %0, sp" : "=r"(sp));
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
