/* The flash driver of the STM32F4, on a host: arrays stand in for registers and for memory. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint32_t flash_registers[8];
static uint8_t flash_memory[12 * 0x20000];

#define TINYML_STM32F4_FLASH_REGISTERS ((uintptr_t)flash_registers)
#define TINYML_STM32F4_FLASH_MEMORY ((uintptr_t)flash_memory)
#define TINYML_STM32F4_CLEAR(status, bits) ((status) &= ~(bits))

#include "../../runtime_c/storage/stm32f4.c"

static int failures;

static void expect(int holds, const char *what) {
  if (!holds) {
    printf("not so: %s\n", what);
    failures++;
  }
}

int main(void) {
  const tinyml_storage_stm32f4 made = tinyml_storage_in_stm32f4(10, 11);
  const uint64_t data[2] = {0x0123456789abcdefu, 42};
  uint64_t back[2] = {0, 0};
  memset(flash_memory, 0xff, sizeof flash_memory);
  expect(made.storage.slot_bytes == 0x20000, "sectors 10 and 11 have 128 KB");
  expect(tinyml_storage_in_stm32f4(3, 4).storage.slot_bytes == 0x4000, "sector 3 has 16 KB");
  expect(sector_start(4) - sector_start(0) == 0x10000, "sector 4 begins at 0x08010000");
  expect(sector_start(5) - sector_start(0) == 0x20000, "sector 5 begins at 0x08020000");
  expect(sector_start(11) - sector_start(0) == 0xe0000, "sector 11 begins at 0x080e0000");

  registers()->cr = CR_LOCK;
  registers()->sr = SR_ERRORS;
  registers()->acr = ACR_DCEN | 5u;
  expect(tinyml_storage_save(&made.storage, 7, data, sizeof data) == TINYML_STORAGE_OK, "it saves");
  expect(tinyml_storage_load(&made.storage, 7, back, sizeof back) == TINYML_STORAGE_OK, "it loads");
  expect(memcmp(data, back, sizeof data) == 0, "what it saved");
  expect(memcmp(flash_memory + 0xc0000 + 32, data, sizeof data) == 0, "in sector 10");
  expect(registers()->cr == CR_LOCK, "the lock is on again");
  expect(registers()->keyr == KEY2, "it was unlocked with both keys");
  expect(registers()->acr == (ACR_DCEN | 5u), "the cache is as before");

  expect(tinyml_storage_save(&made.storage, 7, data, sizeof data) == TINYML_STORAGE_OK, "again");
  expect(memcmp(flash_memory + 0xe0000 + 32, data, sizeof data) == 0, "in sector 11");
  return failures != 0;
}
