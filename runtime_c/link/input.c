#include <string.h>

#include "fill.h"
#include "server.h"
#include "tinyml_port.h"

#define CHUNK 64u /* bytes of an input made at a time, where it has no place; whole floats */

/* What is written beside inputs, where the model learns; NULL: there is no such thing. */
static uint8_t *lasting(uint16_t index, uint32_t *room) {
  const tinyml_training_info *training = server->config->training;
  if (training == NULL) return NULL;
  switch (index) {
    case TINYML_LINK_TARGET:
      *room = training->target_bytes;
      return server->config->target;
    case TINYML_LINK_PARAMETERS_INPUT:
      *room = training->parameter_bytes;
      return training->parameters;
    case TINYML_LINK_STATE_INPUT:
      *room = training->state_bytes;
      return training->state;
    default:
      return NULL;
  }
}

tinyml_link_status tinyml_link_write(const uint8_t *fields, size_t bytes) {
  const tinyml_model_info *model = server->config->model;
  const uint16_t index = get16(fields);
  const uint32_t offset = get32(fields + 2);
  uint32_t most = 0;
  uint8_t *const other = lasting(index, &most);
  if (other != NULL) {
    if (offset > most || bytes > most - offset) return TINYML_LINK_BAD_RANGE;
    memcpy(other + offset, fields + WRITE_FIELDS, bytes);
    return TINYML_LINK_OK;
  }
  if (index >= model->input_count || model->pull != NULL) return TINYML_LINK_BAD_RANGE;
  const int by_rows = model->push_row != NULL;
  const uint32_t room = by_rows ? model->row_bytes : model->inputs[index].bytes;
  if (offset > room || bytes > room - offset) return TINYML_LINK_BAD_RANGE;
  uint8_t *const place =
      by_rows ? server->config->row : tinyml_link_place(model->inputs[index].offset);
  memcpy(place + offset, fields + WRITE_FIELDS, bytes);
  return TINYML_LINK_OK;
}

/* Makes `bytes` bytes of an input from byte `start` on, as the fields of a FILL say. */
static void cook(uint8_t *out, uint32_t start, size_t bytes, const uint8_t *fields) {
  const uint32_t seed = get32(fields + 3);
  const uint32_t first = get32(fields + 7);
  const uint32_t second = get32(fields + 11);
  if (fields[2] == TINYML_LINK_WORDS) {
    tinyml_fill_words(out, start, bytes, seed, first, second);
  } else {
    tinyml_fill_floats(out, start, bytes, seed, first, second);
  }
}

tinyml_link_status tinyml_link_fill(const uint8_t *fields) {
  const tinyml_model_info *model = server->config->model;
  const uint16_t index = get16(fields);
  if (index >= model->input_count || fields[2] > TINYML_LINK_FLOATS) return TINYML_LINK_BAD_RANGE;
  if (model->row_bytes > 0) {
    memcpy(server->recipe, fields, FILL_FIELDS);
    server->recipe_valid = 1;
  } else {
    const tinyml_region *region = &model->inputs[index];
    cook(tinyml_link_place(region->offset), 0, (size_t)region->bytes, fields);
  }
  return TINYML_LINK_OK;
}

void tinyml_link_make_row(uint32_t row) {
  const uint32_t bytes = server->config->model->row_bytes;
  cook(server->config->row, row * bytes, (size_t)bytes, server->recipe);
}

static uint32_t recipe_crc(void) {
  const uint32_t size = server->config->model->inputs[0].bytes;
  uint32_t crc = 0;
  for (uint32_t start = 0; start < size; start += CHUNK) {
    uint8_t chunk[CHUNK];
    const size_t bytes = (size_t)(size - start < CHUNK ? size - start : CHUNK);
    cook(chunk, start, bytes, server->recipe);
    crc = tinyml_crc32(crc, chunk, bytes);
  }
  return crc;
}

int tinyml_link_has_inputs(uint32_t crc) {
  const tinyml_model_info *model = server->config->model;
  uint32_t found = 0;
  if (model->row_bytes > 0) return server->recipe_valid && recipe_crc() == crc;
  for (uint16_t i = 0; i < model->input_count; ++i) {
    const tinyml_region *region = &model->inputs[i];
    found = tinyml_crc32(found, tinyml_link_place(region->offset), (size_t)region->bytes);
  }
  return found == crc;
}

static void want(uint32_t offset, uint16_t bytes) {
  tinyml_link_begin(WANT);
  tinyml_frame_put(&server->out, &server->wanted, sizeof server->wanted);
  tinyml_frame_put(&server->out, &offset, sizeof offset);
  tinyml_frame_put(&server->out, &bytes, sizeof bytes);
  tinyml_frame_end(&server->out);
}

/* Asks the host for bytes of the input until they come; non-zero if it has other wishes or is gone.
 * It is the host that has patience: when nothing sound arrives there, it repeats its INVOKE. */
static int ask(uint32_t offset, uint16_t bytes, uint8_t *to) {
  const uint8_t *const frame = server->request;
  ++server->wanted;
  want(offset, bytes);
  for (;;) {
    tinyml_frame_in_reset(&server->in);
    int byte;
    do {
      byte = tinyml_port_read();
      if (byte < 0) return 1;
    } while (!tinyml_frame_in_byte(&server->in, (uint8_t)byte));
    if (server->in.length < HEADER_BYTES) continue;
    const int mine = get16(frame + 1) == server->sequence;
    if (frame[0] == SERVE) {
      /* Any other one answers an earlier question that was put twice. */
      if (mine && server->in.length == HEADER_BYTES + SERVE_FIELDS + bytes &&
          get32(frame + HEADER_BYTES) == server->wanted) {
        memcpy(to, frame + HEADER_BYTES + SERVE_FIELDS, bytes);
        return 0;
      }
    } else if (mine && frame[0] == server->command) {
      want(offset, bytes);
    } else {
      return 1;
    }
  }
}

static int read_piece(uint32_t start, size_t bytes, uint8_t *to) {
  if (!(server->options & TINYML_LINK_SERVED)) {
    cook(to, start, bytes, server->recipe);
  } else {
    for (size_t i = 0, n; i < bytes; i += n) {
      n = bytes - i < TINYML_LINK_PAYLOAD ? bytes - i : TINYML_LINK_PAYLOAD;
      if (ask(start + (uint32_t)i, (uint16_t)n, to + i)) return 1;
    }
  }
  server->invoked.read_crc = tinyml_crc32(server->invoked.read_crc, to, bytes);
  server->invoked.read_bytes += (uint32_t)bytes;
  return 0;
}

int tinyml_link_read(void *user, int32_t y, int32_t x, int32_t width, void *to) {
  const tinyml_model_info *model = server->config->model;
  const uint32_t start = (uint32_t)y * model->row_bytes + (uint32_t)x * model->pixel_bytes;
  (void)user;
  tinyml_link_stop_counting();
  const int failed = read_piece(start, (size_t)((uint32_t)width * model->pixel_bytes), to);
  tinyml_link_count_on();
  return failed;
}
