#include "frame.h"

#include "crc32.h"
#include "tinyml_port.h"

#define CRC_BYTES 4u

static void flush_block(tinyml_frame_out *out) {
  out->block[0] = out->used;
  tinyml_port_write(out->block, out->used);
  out->used = 1;
}

static void encode(tinyml_frame_out *out, const uint8_t *data, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    /* A full block stands for no zero after it, so it may go before the next byte is known. */
    if (out->used == 255u) flush_block(out);
    if (data[i] == 0) {
      flush_block(out);
    } else {
      out->block[out->used++] = data[i];
    }
  }
}

void tinyml_frame_begin(tinyml_frame_out *out) {
  const uint8_t delimiter = 0;
  out->crc = 0;
  out->used = 1;
  tinyml_port_write(&delimiter, 1); /* cuts off whatever noise the line has carried */
}

void tinyml_frame_put(tinyml_frame_out *out, const void *data, size_t bytes) {
  out->crc = tinyml_crc32(out->crc, data, bytes);
  encode(out, data, bytes);
}

void tinyml_frame_end(tinyml_frame_out *out) {
  const uint8_t delimiter = 0;
  const uint32_t crc = out->crc;
  const uint8_t tail[CRC_BYTES] = {(uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16),
                                   (uint8_t)(crc >> 24)};
  encode(out, tail, sizeof tail);
  flush_block(out);
  tinyml_port_write(&delimiter, 1);
}

void tinyml_frame_in_reset(tinyml_frame_in *in) {
  in->length = 0;
  in->code = 0;
  in->left = 0;
  in->bad = 0;
}

static void append(tinyml_frame_in *in, uint8_t byte) {
  if (in->length < in->capacity) {
    in->data[in->length++] = byte;
  } else {
    in->bad = 1;
  }
}

static int is_sound(const tinyml_frame_in *in) {
  if (in->bad || in->left != 0 || in->length < CRC_BYTES) return 0;
  /* A CRC over data and its own CRC is a constant. */
  return tinyml_crc32(0, in->data, in->length) == 0x2144df1cu;
}

int tinyml_frame_in_byte(tinyml_frame_in *in, uint8_t byte) {
  if (byte == 0) {
    if (is_sound(in)) {
      in->length -= CRC_BYTES;
      return 1;
    }
    tinyml_frame_in_reset(in);
  } else if (in->left == 0) {
    if (in->code != 0 && in->code != 255u) append(in, 0);
    in->code = byte;
    in->left = (uint8_t)(byte - 1u);
  } else {
    append(in, byte);
    --in->left;
  }
  return 0;
}
