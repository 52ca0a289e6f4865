#include <stdio.h>

#include "tinyml_storage.h"

static FILE *opened(const tinyml_storage *storage, unsigned slot, const char *mode) {
  return fopen(((const tinyml_storage_file *)storage)->paths[slot], mode);
}

/* What was written must have left this process; when it is on the disk, the system decides. */
static int closed(FILE *file, int failed) { return fclose(file) != 0 || failed; }

/* An erased slot is an empty file: what was never written cannot be read. */
static int erase(const tinyml_storage *storage, unsigned slot) {
  FILE *const file = opened(storage, slot, "wb");
  return file == NULL || closed(file, 0);
}

static int write(const tinyml_storage *storage, unsigned slot, uint32_t offset, const void *data,
                 uint32_t bytes) {
  FILE *const file = opened(storage, slot, "r+b");
  if (file == NULL) return 1;
  return closed(file,
                fseek(file, (long)offset, SEEK_SET) != 0 || fwrite(data, 1, bytes, file) != bytes);
}

static int read(const tinyml_storage *storage, unsigned slot, uint32_t offset, void *data,
                uint32_t bytes) {
  FILE *const file = opened(storage, slot, "rb");
  if (file == NULL) return 1;
  return closed(file,
                fseek(file, (long)offset, SEEK_SET) != 0 || fread(data, 1, bytes, file) != bytes);
}

tinyml_storage_file tinyml_storage_in_files(const char *first, const char *second,
                                            uint32_t slot_bytes) {
  return (tinyml_storage_file){{slot_bytes, erase, write, read}, {first, second}};
}
