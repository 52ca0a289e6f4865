#include <string.h>

#include "server.h"
#include "tinyml_port.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the link sends structs as they lie in memory, and the protocol is little-endian"
#endif

tinyml_link_state tinyml_link_server;

void tinyml_link_begin(uint8_t command) {
  tinyml_frame_begin(&server->out);
  tinyml_frame_put(&server->out, &command, sizeof command);
  tinyml_frame_put(&server->out, &server->sequence, sizeof server->sequence);
}

static void answer(uint8_t status, const void *first, size_t first_bytes, const void *second,
                   size_t second_bytes) {
  tinyml_link_begin((uint8_t)(server->command | ANSWER));
  tinyml_frame_put(&server->out, &status, sizeof status);
  tinyml_frame_put(&server->out, first, first_bytes);
  tinyml_frame_put(&server->out, second, second_bytes);
  tinyml_frame_end(&server->out);
}

/* Bytes of the first arena. */
static uint32_t first_bytes(void) {
  const tinyml_model_info *model = server->config->model;
  return model->arena_bytes - model->more_bytes;
}

uint8_t *tinyml_link_place(uint32_t offset) {
  const uint32_t first = first_bytes();
  const int in_first = offset < first || server->config->more == NULL;
  return in_first ? server->config->arena + offset : server->config->more + (offset - first);
}

static void answer_status(tinyml_link_status status) { answer((uint8_t)status, "", 0, "", 0); }

static void hello(void) {
  const tinyml_link_config *config = server->config;
  const tinyml_port_scale scale = tinyml_port_counter_scale();
  const tinyml_link_hello reply = {
      .protocol = TINYML_LINK_PROTOCOL,
      .payload = TINYML_LINK_PAYLOAD,
      .unit = scale.unit,
      .numerator = scale.numerator,
      .denominator = scale.denominator,
      .clock_hz = scale.clock_hz,
      .arena_bytes = config->model->arena_bytes,
      .more_bytes = config->model->more_bytes,
      .op_count = config->model->op_count,
      .input_count = config->model->input_count,
      .output_count = config->model->output_count,
      .record_capacity = config->record_capacity,
      .row_bytes = config->model->row_bytes,
      .pixel_bytes = config->model->pixel_bytes,
  };
  answer(TINYML_LINK_OK, &reply, sizeof reply, "", 0);
}

/* Where a space lies; NULL if there is no such space. */
static const uint8_t *find_space(uint8_t space, uint16_t index, uint32_t *bytes) {
  const tinyml_model_info *model = server->config->model;
  const tinyml_training_info *training = server->config->training;
  const char *text = NULL;
  const tinyml_region *region = NULL;
  switch (space) {
    case TINYML_LINK_NAME:
      text = model->name;
      break;
    case TINYML_LINK_IDENTITY:
      text = model->identity;
      break;
    case TINYML_LINK_BUILD:
      text = server->config->build;
      break;
    case TINYML_LINK_INPUT_REGIONS:
      *bytes = model->input_count * sizeof(tinyml_region);
      return (const uint8_t *)model->inputs;
    case TINYML_LINK_OUTPUT_REGIONS:
      *bytes = model->output_count * sizeof(tinyml_region);
      return (const uint8_t *)model->outputs;
    case TINYML_LINK_INPUT:
      region = index < model->input_count && model->row_bytes == 0 ? &model->inputs[index] : NULL;
      break;
    case TINYML_LINK_OUTPUT:
      region = index < model->output_count ? &model->outputs[index] : NULL;
      break;
    case TINYML_LINK_ARENA:
      *bytes = model->arena_bytes;
      return server->config->arena;
    case TINYML_LINK_RECORDS: {
      const uint16_t capacity = server->config->record_capacity;
      *bytes = (server->count < capacity ? server->count : capacity) * sizeof(tinyml_link_record);
      return (const uint8_t *)server->config->records;
    }
    case TINYML_LINK_PARAMETERS:
      *bytes = training == NULL ? 0 : training->parameter_bytes;
      return training == NULL ? NULL : training->parameters;
    case TINYML_LINK_STATE:
      *bytes = training == NULL ? 0 : training->state_bytes;
      return training == NULL ? NULL : training->state;
    default:
      break;
  }
  if (text != NULL) {
    *bytes = (uint32_t)strlen(text);
    return (const uint8_t *)text;
  }
  if (region != NULL) {
    *bytes = region->bytes;
    return tinyml_link_place(region->offset);
  }
  return NULL;
}

static void read_space(const uint8_t *fields) {
  uint32_t bytes = 0;
  const uint8_t *data = find_space(fields[0], get16(fields + 1), &bytes);
  const uint32_t offset = get32(fields + 3);
  uint32_t n = get16(fields + 7);
  if (data == NULL || offset > bytes) {
    answer_status(TINYML_LINK_BAD_RANGE);
    return;
  }
  if (n > bytes - offset) n = bytes - offset;
  if (n > TINYML_LINK_PAYLOAD) n = TINYML_LINK_PAYLOAD;
  if (fields[0] != TINYML_LINK_ARENA) {
    data += offset;
  } else {
    const uint32_t first = first_bytes();
    if (offset < first && n > first - offset) n = first - offset;
    data = tinyml_link_place(offset);
  }
  answer(TINYML_LINK_OK, &bytes, sizeof bytes, data, (size_t)n);
}

/* INVOKE, PUSH and TRAIN: what must not run twice. */
static void run_once(tinyml_link_status (*request)(const uint8_t *fields), const uint8_t *fields) {
  if (!server->invoked_valid || server->invoked_sequence != server->sequence) {
    /* What a frame has cost so far is in it. */
    if (server->next_row == 0 || request != tinyml_link_push) {
      memset(&server->invoked, 0, sizeof server->invoked);
    }
    server->invoked_answer = (uint8_t)request(fields);
    server->invoked_sequence = server->sequence;
    server->invoked_valid = 1;
  }
  answer(server->invoked_answer, &server->invoked, sizeof server->invoked, "", 0);
}

static void paint(uint8_t pattern) {
  server->next_row = 0;
  memset(server->config->arena, pattern, (size_t)first_bytes());
  if (server->config->more != NULL) {
    memset(server->config->more, pattern, (size_t)server->config->model->more_bytes);
  }
  tinyml_port_paint_stack(pattern);
  answer_status(TINYML_LINK_OK);
}

/* How much of `bytes` bytes is in front of those that still have the pattern. */
static uint32_t touched(const uint8_t *arena, uint32_t bytes, uint8_t pattern) {
  while (bytes > 0 && arena[bytes - 1u] == pattern) --bytes;
  return bytes;
}

static void marks(uint8_t pattern) {
  const tinyml_link_config *config = server->config;
  const uint32_t reply[3] = {touched(config->arena, first_bytes(), pattern),
                             touched(config->more, config->model->more_bytes, pattern),
                             tinyml_port_stack_used(pattern)};
  answer(TINYML_LINK_OK, reply, sizeof reply, "", 0);
}

static void dispatch(void) {
  /* Lengths of the fields, by command; a WRITE has data after them. */
  static const uint8_t lengths[] = {0,           0,           9, WRITE_FIELDS, INVOKE_FIELDS, 1, 1,
                                    FILL_FIELDS, PUSH_FIELDS, 0, TRAIN_FIELDS};
  const uint8_t *fields = server->request + HEADER_BYTES;
  const size_t bytes = server->in.length - HEADER_BYTES;
  /* Pieces of an input that a repeated question brought: nobody waits for them any more. */
  if (server->request[0] == SERVE) return;
  server->command = server->request[0];
  server->sequence = get16(server->request + 1);
  const uint8_t command = server->command;
  if (command != INVOKE && command != PUSH && command != TRAIN) server->invoked_valid = 0;
  if (command < HELLO || command > TRAIN || (command == TRAIN && server->config->learn == NULL)) {
    answer_status(TINYML_LINK_BAD_COMMAND);
  } else if (command == WRITE ? bytes < WRITE_FIELDS : bytes != lengths[command]) {
    answer_status(TINYML_LINK_BAD_LENGTH);
  } else {
    switch (command) {
      case HELLO:
        hello();
        break;
      case READ:
        read_space(fields);
        break;
      case WRITE:
        answer_status(tinyml_link_write(fields, bytes - WRITE_FIELDS));
        break;
      case INVOKE:
        run_once(tinyml_link_run, fields);
        break;
      case PUSH:
        run_once(tinyml_link_push, fields);
        break;
      case TRAIN:
        run_once(server->config->learn, fields);
        break;
      case PAINT:
        paint(fields[0]);
        break;
      case MARKS:
        marks(fields[0]);
        break;
      default:
        answer_status(tinyml_link_fill(fields));
        break;
    }
  }
}

int tinyml_link_serve(const tinyml_link_config *config) {
  memset(server, 0, sizeof *server);
  server->config = config;
  server->in.data = server->request;
  server->in.capacity = sizeof server->request;
  for (;;) {
    const int byte = tinyml_port_read();
    if (byte < 0) return 0;
    if (tinyml_frame_in_byte(&server->in, (uint8_t)byte)) {
      if (server->in.length >= HEADER_BYTES) dispatch();
      tinyml_frame_in_reset(&server->in);
    }
  }
}

void tinyml_port_on_fault(const uint32_t *frame, uint32_t cause) {
  const uint32_t report[3] = {frame ? frame[6] : 0, frame ? frame[5] : 0, cause};
  do {
    server->sequence = 0;
    tinyml_link_begin(FAULT);
    tinyml_frame_put(&server->out, report, sizeof report);
    tinyml_frame_end(&server->out);
    int byte;
    do {
      byte = tinyml_port_read();
      if (byte < 0) return;
    } while (byte != 0);
  } while (1);
}
