#include <string.h>

#include "tinyml_storage.h"

static uint8_t *place(const tinyml_storage *storage, unsigned slot, uint32_t offset) {
  return ((const tinyml_storage_ram *)storage)->memory + slot * storage->slot_bytes + offset;
}

static int erase(const tinyml_storage *storage, unsigned slot) {
  memset(place(storage, slot, 0), 0xff, storage->slot_bytes);
  return 0;
}

static int write(const tinyml_storage *storage, unsigned slot, uint32_t offset, const void *data,
                 uint32_t bytes) {
  memcpy(place(storage, slot, offset), data, bytes);
  return 0;
}

static int read(const tinyml_storage *storage, unsigned slot, uint32_t offset, void *data,
                uint32_t bytes) {
  memcpy(data, place(storage, slot, offset), bytes);
  return 0;
}

tinyml_storage_ram tinyml_storage_in_ram(uint8_t *memory, uint32_t slot_bytes) {
  return (tinyml_storage_ram){{slot_bytes, erase, write, read}, memory};
}
