/* CRC-32 (IEEE 802.3), of frames and of what is kept in storage. */
#ifndef TINYML_CRC32_H
#define TINYML_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* The CRC-32 of `bytes` more bytes; `crc` is 0 at the start. */
uint32_t tinyml_crc32(uint32_t crc, const void *data, size_t bytes);

#endif
