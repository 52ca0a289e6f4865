#include "crc32.h"
#include "tinyml_storage.h"

#define MAGIC UINT32_C(0x504d4c54) /* "TLMP" */
#define CHUNK_BYTES 64u

typedef struct {
  uint32_t magic;
  uint32_t tag;
  uint32_t bytes;
  uint32_t counter; /* of saves; may wrap */
  uint32_t data_crc;
  uint32_t reserved[2];
  uint32_t crc; /* of all that precedes */
} header_t;

typedef char header_size_is_as_said[sizeof(header_t) == TINYML_STORAGE_HEADER_BYTES ? 1 : -1];

static uint32_t header_crc(const header_t *header) {
  return tinyml_crc32(0, header, offsetof(header_t, crc));
}

/* Whether the data of a slot are there as its header says. A slot in which an erase was cut short
 * may still have its header. */
static int has_data(const tinyml_storage *storage, unsigned slot, const header_t *header) {
  uint32_t crc = 0;
  for (uint32_t at = 0; at < header->bytes; at += CHUNK_BYTES) {
    uint8_t chunk[CHUNK_BYTES];
    const uint32_t left = header->bytes - at;
    const uint32_t n = left < CHUNK_BYTES ? left : CHUNK_BYTES;
    if (storage->read(storage, slot, TINYML_STORAGE_HEADER_BYTES + at, chunk, n)) return 0;
    crc = tinyml_crc32(crc, chunk, n);
  }
  return crc == header->data_crc;
}

/* Whether a slot holds valid parameters of this tag and size. */
static int is_valid(const tinyml_storage *storage, unsigned slot, uint32_t tag, uint32_t bytes,
                    header_t *header) {
  if (storage->read(storage, slot, 0, header, sizeof *header)) return 0;
  return header->magic == MAGIC && header->tag == tag && header->bytes == bytes &&
         header->crc == header_crc(header) && has_data(storage, slot, header);
}

/* The slot with the newest valid parameters, or -1. */
static int newest(const tinyml_storage *storage, uint32_t tag, uint32_t bytes, header_t *header) {
  header_t found[2];
  const int first = is_valid(storage, 0, tag, bytes, &found[0]);
  const int second = is_valid(storage, 1, tag, bytes, &found[1]);
  if (!first && !second) return -1;
  /* The counter of the newer one is one ahead, be it beyond its range. */
  const int slot = !first || (second && found[1].counter - found[0].counter == 1u);
  *header = found[slot];
  return slot;
}

tinyml_storage_status tinyml_storage_save(const tinyml_storage *storage, uint32_t tag,
                                          const void *data, uint32_t bytes) {
  header_t header = {.counter = 0};
  if (storage == NULL || data == NULL) return TINYML_STORAGE_ERROR_NULL;
  if (bytes % TINYML_STORAGE_WRITE_BYTES != 0 || storage->slot_bytes < sizeof header ||
      storage->slot_bytes - sizeof header < bytes) {
    return TINYML_STORAGE_ERROR_ROOM;
  }
  const int last = newest(storage, tag, bytes, &header);
  const unsigned slot = last == 0 ? 1u : 0u;
  header = (header_t){.magic = MAGIC,
                      .tag = tag,
                      .bytes = bytes,
                      .counter = header.counter + 1u,
                      .data_crc = tinyml_crc32(0, data, bytes)};
  header.crc = header_crc(&header);
  if (storage->erase(storage, slot) ||
      storage->write(storage, slot, TINYML_STORAGE_HEADER_BYTES, data, bytes) ||
      !has_data(storage, slot, &header) ||
      storage->write(storage, slot, 0, &header, sizeof header)) {
    return TINYML_STORAGE_ERROR_DEVICE;
  }
  return is_valid(storage, slot, tag, bytes, &header) ? TINYML_STORAGE_OK
                                                      : TINYML_STORAGE_ERROR_DEVICE;
}

tinyml_storage_status tinyml_storage_load(const tinyml_storage *storage, uint32_t tag, void *data,
                                          uint32_t bytes) {
  header_t header;
  if (storage == NULL || data == NULL) return TINYML_STORAGE_ERROR_NULL;
  const int slot = newest(storage, tag, bytes, &header);
  if (slot < 0) return TINYML_STORAGE_EMPTY;
  if (storage->read(storage, (unsigned)slot, TINYML_STORAGE_HEADER_BYTES, data, bytes)) {
    return TINYML_STORAGE_ERROR_DEVICE;
  }
  return TINYML_STORAGE_OK;
}
