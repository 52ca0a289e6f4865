/* The flash memory of the STM32F4 as storage. Registers, keys and sequences: RM0090, chapter 3. */
#include <string.h>

#include "tinyml_storage.h"

/* Where registers and memory are; a test on a host has them elsewhere. */
#ifndef TINYML_STM32F4_FLASH_REGISTERS
#define TINYML_STM32F4_FLASH_REGISTERS UINT32_C(0x40023C00)
#endif
#ifndef TINYML_STM32F4_FLASH_MEMORY
#define TINYML_STM32F4_FLASH_MEMORY UINT32_C(0x08000000)
#endif
#ifndef TINYML_STM32F4_CLEAR
#define TINYML_STM32F4_CLEAR(status, bits) ((status) = (bits)) /* by writing 1 */
#endif

typedef struct {
  volatile uint32_t acr;
  volatile uint32_t keyr;
  volatile uint32_t optkeyr;
  volatile uint32_t sr;
  volatile uint32_t cr;
} registers_t;

static registers_t *registers(void) {
  return (registers_t *)(uintptr_t)TINYML_STM32F4_FLASH_REGISTERS;
}

#define KEY1 UINT32_C(0x45670123)
#define KEY2 UINT32_C(0xCDEF89AB)

#define SR_ERRORS (0xf0u | 0x2u) /* PGSERR, PGPERR, PGAERR, WRPERR; OPERR */
#define SR_BSY (1u << 16)
#define CR_PG (1u << 0)
#define CR_SER (1u << 1)
#define CR_SNB(sector) ((uint32_t)(sector) << 3)
#define CR_PSIZE_32 (2u << 8) /* words: supply voltage of 2.7 V or more */
#define CR_STRT (1u << 16)
#define CR_LOCK (1u << 31)
#define ACR_DCEN (1u << 10)
#define ACR_DCRST (1u << 12)

/* Four sectors of 16 KB, one of 64 KB, the others of 128 KB. */
static uint32_t sector_bytes(uint8_t sector) {
  return sector < 4u ? UINT32_C(0x4000) : sector == 4u ? UINT32_C(0x10000) : UINT32_C(0x20000);
}

static uintptr_t sector_start(uint8_t sector) {
  uintptr_t at = (uintptr_t)TINYML_STM32F4_FLASH_MEMORY;
  for (uint8_t i = 0; i < sector; i++) at += sector_bytes(i);
  return at;
}

static uintptr_t address(const tinyml_storage *storage, unsigned slot, uint32_t offset) {
  return sector_start(((const tinyml_storage_stm32f4 *)storage)->sectors[slot]) + offset;
}

static int finished(registers_t *flash) {
  while (flash->sr & SR_BSY) {
  }
  return (flash->sr & SR_ERRORS) == 0;
}

/* Waits, forgets old errors, and lets `cr` be written. */
static void unlock(registers_t *flash) {
  while (flash->sr & SR_BSY) {
  }
  TINYML_STM32F4_CLEAR(flash->sr, SR_ERRORS);
  if (flash->cr & CR_LOCK) {
    flash->keyr = KEY1;
    flash->keyr = KEY2;
  }
}

/* What the data cache has of an erased sector would be read in its place. */
static void forget_cached(registers_t *flash) {
  const uint32_t acr = flash->acr;
  if (!(acr & ACR_DCEN)) return;
  flash->acr = acr & ~ACR_DCEN;
  flash->acr = (acr & ~ACR_DCEN) | ACR_DCRST;
  flash->acr = acr & ~ACR_DCEN;
  flash->acr = acr;
}

static int erase(const tinyml_storage *storage, unsigned slot) {
  registers_t *const flash = registers();
  const uint8_t sector = ((const tinyml_storage_stm32f4 *)storage)->sectors[slot];
  unlock(flash);
  flash->cr = CR_PSIZE_32 | CR_SER | CR_SNB(sector);
  flash->cr = CR_PSIZE_32 | CR_SER | CR_SNB(sector) | CR_STRT;
  const int done = finished(flash);
  flash->cr = CR_LOCK;
  forget_cached(flash);
  return !done;
}

static int write(const tinyml_storage *storage, unsigned slot, uint32_t offset, const void *data,
                 uint32_t bytes) {
  registers_t *const flash = registers();
  volatile uint32_t *const to = (volatile uint32_t *)address(storage, slot, offset);
  int done = 1;
  unlock(flash);
  flash->cr = CR_PSIZE_32 | CR_PG;
  for (uint32_t i = 0; done && i < bytes / 4u; i++) {
    uint32_t word;
    memcpy(&word, (const uint8_t *)data + 4u * i, sizeof word);
    to[i] = word;
    done = finished(flash);
  }
  flash->cr = CR_LOCK;
  return !done;
}

static int read(const tinyml_storage *storage, unsigned slot, uint32_t offset, void *data,
                uint32_t bytes) {
  memcpy(data, (const void *)address(storage, slot, offset), bytes);
  return 0;
}

tinyml_storage_stm32f4 tinyml_storage_in_stm32f4(uint8_t first, uint8_t second) {
  const uint32_t a = sector_bytes(first);
  const uint32_t b = sector_bytes(second);
  return (tinyml_storage_stm32f4){{a < b ? a : b, erase, write, read}, {first, second}};
}
