/* Control and status registers of a RISC-V core in machine mode (privileged specification,
 * chapters 2 and 3). The assembler wants to hear that they are used: GCC 12 leaves them out of the
 * base instruction set. */
#ifndef TINYML_PORT_RISCV_H
#define TINYML_PORT_RISCV_H

#include <stdint.h>

#define WITH_CSRS(code) \
  ".option push\n"      \
  ".option arch, +zicsr\n" code "\n.option pop\n"

#define CSR_READ(name, to) __asm volatile(WITH_CSRS("csrr %0, " name) : "=r"(to))
#define CSR_WRITE(name, from) __asm volatile(WITH_CSRS("csrw " name ", %0")::"r"(from) : "memory")

#endif
