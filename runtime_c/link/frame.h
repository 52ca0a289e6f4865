/* Frames of the serial link: COBS (Cheshire and Baker, 1999) around data and CRC-32.
 * Frames are sent byte by byte from where the data lies: no second copy. */
#ifndef TINYML_LINK_FRAME_H
#define TINYML_LINK_FRAME_H

#include <stddef.h>
#include <stdint.h>

/* One frame on its way out. */
typedef struct {
  uint32_t crc;
  uint8_t used;       /* bytes in `block`, its length code included */
  uint8_t block[255]; /* length code and up to 254 bytes that are not 0 */
} tinyml_frame_out;

void tinyml_frame_begin(tinyml_frame_out *out);
void tinyml_frame_put(tinyml_frame_out *out, const void *data, size_t bytes);
void tinyml_frame_end(tinyml_frame_out *out);

/* One frame on its way in. */
typedef struct {
  uint8_t *data;
  size_t capacity;
  size_t length;
  uint8_t code; /* length code of the current block; 0 before the first */
  uint8_t left; /* bytes to come in the current block */
  uint8_t bad;  /* too long */
} tinyml_frame_in;

void tinyml_frame_in_reset(tinyml_frame_in *in);

/* Takes a byte from the line. Returns 1 when it completes a sound frame: `data`
 * and `length` then hold what was sent, CRC removed, and the next byte needs a
 * reset first. A damaged frame is dropped without a word. */
int tinyml_frame_in_byte(tinyml_frame_in *in, uint8_t byte);

#endif
