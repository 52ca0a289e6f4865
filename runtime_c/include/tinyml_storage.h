/* tinyml: parameters that survive a power cut.
 *
 * Storage is two slots, each erased as a whole and then written once from front to back, as flash
 * memory wants it. One of them always holds the last parameters that were saved completely: a save
 * erases and writes the other one, the parameters first and the header, which makes them valid,
 * last. A header has a counter, which tells the newer slot, and checksums of itself and of the
 * parameters. So whenever power goes, a load gives the parameters of the save before or of
 * this one, and nothing else.
 */
#ifndef TINYML_STORAGE_H
#define TINYML_STORAGE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What precedes the parameters in a slot; also what any write is a multiple of, at most. */
#define TINYML_STORAGE_HEADER_BYTES 32u
#define TINYML_STORAGE_WRITE_BYTES 8u

typedef enum {
  TINYML_STORAGE_OK = 0,
  TINYML_STORAGE_EMPTY = 1,        /* nothing valid is stored for these parameters: no error */
  TINYML_STORAGE_ERROR_NULL = -1,  /* a required pointer is NULL */
  TINYML_STORAGE_ERROR_ROOM = -2,  /* a slot is smaller than header and parameters */
  TINYML_STORAGE_ERROR_DEVICE = -3 /* erasing, writing or reading failed, or did not last */
} tinyml_storage_status;

/* A place to store things. The functions return 0, or anything else for failure. */
typedef struct tinyml_storage {
  uint32_t slot_bytes; /* of each of the two slots */
  /* Leaves the slot without anything that was in it. */
  int (*erase)(const struct tinyml_storage *storage, unsigned slot);
  /* Writes to a place that was erased and not written since; `offset` and `bytes` are multiples of
   * TINYML_STORAGE_WRITE_BYTES, `data` is aligned to four bytes. */
  int (*write)(const struct tinyml_storage *storage, unsigned slot, uint32_t offset,
               const void *data, uint32_t bytes);
  int (*read)(const struct tinyml_storage *storage, unsigned slot, uint32_t offset, void *data,
              uint32_t bytes);
} tinyml_storage;

/* Saves `bytes` bytes of parameters, a multiple of TINYML_STORAGE_WRITE_BYTES. `tag` tells their
 * layout: others are not loaded over them. When it fails, what was saved before is still there. */
tinyml_storage_status tinyml_storage_save(const tinyml_storage *storage, uint32_t tag,
                                          const void *data, uint32_t bytes);

/* Loads what was last saved completely under this tag, or leaves `data` alone. */
tinyml_storage_status tinyml_storage_load(const tinyml_storage *storage, uint32_t tag, void *data,
                                          uint32_t bytes);

/* In RAM: for tests, and for boards whose RAM keeps its content. `memory` has room for both slots
 * of `slot_bytes` bytes; the first member is what the functions above take. */
typedef struct {
  tinyml_storage storage;
  uint8_t *memory;
} tinyml_storage_ram;

tinyml_storage_ram tinyml_storage_in_ram(uint8_t *memory, uint32_t slot_bytes);

/* In two files, where there is an operating system. */
typedef struct {
  tinyml_storage storage;
  const char *paths[2];
} tinyml_storage_file;

tinyml_storage_file tinyml_storage_in_files(const char *first, const char *second,
                                            uint32_t slot_bytes);

/* In two sectors of the flash memory of an STM32F4, which no code and no constants may share. Of
 * an STM32F405 these are sectors 0 to 3 of 16 KB, 4 of 64 KB, 5 to 11 of 128 KB from 0x08000000
 * on. While one is erased or written, which takes seconds, the core waits for its flash memory. */
typedef struct {
  tinyml_storage storage;
  uint8_t sectors[2];
} tinyml_storage_stm32f4;

tinyml_storage_stm32f4 tinyml_storage_in_stm32f4(uint8_t first, uint8_t second);

#ifdef __cplusplus
}
#endif

#endif
