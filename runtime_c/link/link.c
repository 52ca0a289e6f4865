#include <string.h>

#include "fill.h"
#include "frame.h"
#include "tinyml_link.h"
#include "tinyml_port.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the link sends structs as they lie in memory, and the protocol is little-endian"
#endif

enum { HELLO = 1, READ = 2, WRITE = 3, INVOKE = 4, PAINT = 5, MARKS = 6, FILL = 7, PUSH = 8 };
enum { BUSY = 0x7e, FAULT = 0x7f, ANSWER = 0x80 };

#define HEADER_BYTES 3u /* command, sequence */
#define WRITE_FIELDS 6u /* what precedes the data of a WRITE: the longest request */
#define INVOKE_FIELDS 13u
#define FILL_FIELDS 15u
#define PUSH_FIELDS 15u
#define NO_OP UINT16_C(0xffff)

static struct {
  const tinyml_link_config *config;
  tinyml_frame_out out;
  tinyml_frame_in in;
  uint8_t request[HEADER_BYTES + WRITE_FIELDS + TINYML_LINK_PAYLOAD + 4u];
  uint16_t sequence;

  /* Where the input comes row by row: FILL leaves a recipe here. */
  uint8_t recipe_valid;
  uint8_t recipe[FILL_FIELDS];

  /* The last INVOKE or PUSH, as long as no other request came after it. */
  uint8_t invoked_valid;
  uint8_t invoked_answer; /* tinyml_link_status */
  uint16_t invoked_sequence;
  tinyml_link_invoked invoked;

  /* The inference that runs, if need be over several PUSHes. */
  tinyml_model model;
  uint16_t next_row; /* that PUSH has to bring; 0: no frame has begun */
  uint8_t quiet;     /* no BUSY frames: the observer measures itself */
  uint8_t options;
  uint16_t stop_op;
  uint16_t stop_output;
  uint32_t stop_left; /* bytes of that output to go */
  uint16_t count;
  uint16_t pieces;  /* since the last BUSY frame */
  uint32_t debt;    /* overhead not yet taken out, in ticks / TINYML_LINK_CALIBRATIONS */
  uint64_t total;   /* ticks spent outside of the observer */
  uint64_t carried; /* those between the last piece and the end of a push of a row */
} server;

static uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] | (unsigned)p[1] << 8); }

static uint32_t get32(const uint8_t *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }

static void begin(uint8_t command, uint16_t sequence) {
  tinyml_frame_begin(&server.out);
  tinyml_frame_put(&server.out, &command, sizeof command);
  tinyml_frame_put(&server.out, &sequence, sizeof sequence);
}

static void answer(uint8_t status, const void *first, size_t first_bytes, const void *second,
                   size_t second_bytes) {
  begin((uint8_t)(server.request[0] | ANSWER), server.sequence);
  tinyml_frame_put(&server.out, &status, sizeof status);
  tinyml_frame_put(&server.out, first, first_bytes);
  tinyml_frame_put(&server.out, second, second_bytes);
  tinyml_frame_end(&server.out);
}

static void answer_status(uint8_t status) { answer(status, "", 0, "", 0); }

static void hello(void) {
  const tinyml_link_config *config = server.config;
  const tinyml_port_scale scale = tinyml_port_counter_scale();
  const tinyml_link_hello reply = {
      .protocol = TINYML_LINK_PROTOCOL,
      .payload = TINYML_LINK_PAYLOAD,
      .unit = scale.unit,
      .numerator = scale.numerator,
      .denominator = scale.denominator,
      .clock_hz = scale.clock_hz,
      .arena_bytes = config->model->arena_bytes,
      .op_count = config->model->op_count,
      .input_count = config->model->input_count,
      .output_count = config->model->output_count,
      .record_capacity = config->record_capacity,
      .row_bytes = config->model->row_bytes,
  };
  answer(TINYML_LINK_OK, &reply, sizeof reply, "", 0);
}

/* Where a space lies; NULL if there is no such space. */
static const uint8_t *find_space(uint8_t space, uint16_t index, size_t *bytes) {
  const tinyml_model_info *model = server.config->model;
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
      text = server.config->build;
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
      return server.config->arena;
    case TINYML_LINK_RECORDS: {
      const uint16_t capacity = server.config->record_capacity;
      *bytes = (server.count < capacity ? server.count : capacity) * sizeof(tinyml_link_record);
      return (const uint8_t *)server.config->records;
    }
    default:
      break;
  }
  if (text != NULL) {
    *bytes = strlen(text);
    return (const uint8_t *)text;
  }
  if (region != NULL) {
    *bytes = region->bytes;
    return server.config->arena + region->offset;
  }
  return NULL;
}

static void read_space(const uint8_t *fields) {
  size_t bytes = 0;
  const uint8_t *data = find_space(fields[0], get16(fields + 1), &bytes);
  const uint32_t offset = get32(fields + 3);
  size_t n = get16(fields + 7);
  if (data == NULL || offset > bytes) {
    answer_status(TINYML_LINK_BAD_RANGE);
    return;
  }
  const uint32_t size = (uint32_t)bytes;
  if (n > bytes - offset) n = bytes - offset;
  if (n > TINYML_LINK_PAYLOAD) n = TINYML_LINK_PAYLOAD;
  answer(TINYML_LINK_OK, &size, sizeof size, data + offset, n);
}

static void write_input(const uint8_t *fields, size_t n) {
  const tinyml_model_info *model = server.config->model;
  const uint16_t index = get16(fields);
  const uint32_t offset = get32(fields + 2);
  uint32_t room = 0;
  uint8_t *place = server.config->row;
  if (index < model->input_count) {
    room = model->row_bytes;
    if (room == 0) {
      room = model->inputs[index].bytes;
      place = server.config->arena + model->inputs[index].offset;
    }
  }
  if (index >= model->input_count || offset > room || n > room - offset) {
    answer_status(TINYML_LINK_BAD_RANGE);
    return;
  }
  memcpy(place + offset, fields + WRITE_FIELDS, n);
  answer_status(TINYML_LINK_OK);
}

/* Makes `bytes` bytes of an input from byte `start` on, as the fields of a FILL say. */
static void cook(uint8_t *out, size_t start, size_t bytes, const uint8_t *fields) {
  const uint32_t seed = get32(fields + 3);
  const uint32_t first = get32(fields + 7);
  const uint32_t second = get32(fields + 11);
  if (fields[2] == TINYML_LINK_WORDS) {
    tinyml_fill_words(out, start, bytes, seed, first, second);
  } else {
    tinyml_fill_floats(out, start, bytes, seed, first, second);
  }
}

static void fill_input(const uint8_t *fields) {
  const tinyml_model_info *model = server.config->model;
  const uint16_t index = get16(fields);
  if (index >= model->input_count || fields[2] > TINYML_LINK_FLOATS) {
    answer_status(TINYML_LINK_BAD_RANGE);
    return;
  }
  if (model->row_bytes > 0) {
    memcpy(server.recipe, fields, FILL_FIELDS);
    server.recipe_valid = 1;
  } else {
    const tinyml_region *region = &model->inputs[index];
    cook(server.config->arena + region->offset, 0, region->bytes, fields);
  }
  answer_status(TINYML_LINK_OK);
}

static void send_busy(uint16_t op) {
  begin(BUSY, server.sequence);
  tinyml_frame_put(&server.out, &op, sizeof op);
  tinyml_frame_end(&server.out);
}

/* The record of an output, a new one at its first piece; NULL if there is no room for it. */
static tinyml_link_record *find_record(uint16_t op, uint16_t output) {
  tinyml_link_record *const records = server.config->records;
  if (server.count > server.config->record_capacity) return NULL;
  /* From the end: an op that runs on its own is the last one. */
  for (uint16_t i = server.count; i > 0; --i) {
    if (records[i - 1].op == op && records[i - 1].output == output) return &records[i - 1];
  }
  if (server.count++ == server.config->record_capacity) return NULL;
  tinyml_link_record *const record = &records[server.count - 1];
  *record = (tinyml_link_record){.op = op, .output = output};
  return record;
}

/* Ticks of a piece after the first, without what counting adds; the fraction is carried on. */
static uint64_t without_overhead(uint64_t ticks) {
  server.debt += server.invoked.overhead;
  const uint32_t whole = server.debt / TINYML_LINK_CALIBRATIONS;
  server.debt %= TINYML_LINK_CALIBRATIONS;
  return ticks > whole ? ticks - whole : 0;
}

/* Only what runs between two calls is counted, and nothing of what is done here.
 * The counter starts anew every time: in the same phase, so that counts repeat exactly. */
static int observe(void *user, uint16_t op, uint16_t output, const void *data, size_t bytes) {
  uint64_t ticks = tinyml_port_ticks() + server.carried;
  int stop = 0;
  (void)user;
  if (!server.quiet) {
    const uint16_t seen = server.count;
    tinyml_link_record *const record = find_record(op, output);
    if (record != NULL) {
      if (record->bytes > 0) ticks = without_overhead(ticks);
      if (server.options & TINYML_LINK_CHECKSUMS) {
        record->crc = tinyml_crc32(record->crc, data, bytes);
      }
      record->bytes += (uint32_t)bytes;
      record->ticks =
          ticks < UINT32_MAX - record->ticks ? record->ticks + (uint32_t)ticks : UINT32_MAX;
    }
    if (server.count != seen || ++server.pieces == TINYML_LINK_BUSY_PIECES) {
      send_busy(op);
      server.pieces = 0;
    }
    if ((server.options & TINYML_LINK_STOP) && op == server.stop_op &&
        output == server.stop_output) {
      stop = bytes >= server.stop_left;
      server.stop_left -= (uint32_t)bytes;
    }
  }
  server.total += ticks;
  server.carried = 0;
  tinyml_port_counter_reset();
  return stop;
}

/* What observations find where nothing runs between them. */
static void calibrate(const tinyml_observer *observer) {
  uint64_t least = UINT64_MAX;
  uint64_t most = 0;
  server.quiet = 1;
  server.total = 0;
  for (unsigned i = 0; i < TINYML_LINK_CALIBRATIONS; ++i) {
    const uint64_t before = server.total;
    tinyml_port_counter_reset();
    (void)observer->on_output(observer->user, NO_OP, 0, NULL, 0);
    const uint64_t ticks = server.total - before;
    if (ticks < least) least = ticks;
    if (ticks > most) most = ticks;
  }
  server.quiet = 0;
  server.invoked.overhead = (uint32_t)server.total;
  server.invoked.jitter = (uint32_t)(most - least);
}

static void make_row(uint32_t row) {
  const uint32_t bytes = server.config->model->row_bytes;
  cook(server.config->row, (size_t)row * bytes, bytes, server.recipe);
}

static uint32_t row_count(void) {
  return server.config->model->inputs[0].bytes / server.config->model->row_bytes;
}

static uint32_t inputs_crc(void) {
  const tinyml_model_info *model = server.config->model;
  uint32_t crc = 0;
  if (model->row_bytes > 0) {
    for (uint32_t row = 0; row < row_count(); ++row) {
      make_row(row);
      crc = tinyml_crc32(crc, server.config->row, model->row_bytes);
    }
    return crc;
  }
  for (uint16_t i = 0; i < model->input_count; ++i) {
    crc = tinyml_crc32(crc, server.config->arena + model->inputs[i].offset, model->inputs[i].bytes);
  }
  return crc;
}

/* What comes before the first op. */
static void start(const uint8_t *fields) {
  static const tinyml_observer observer = {observe, NULL};
  server.model = (tinyml_model){server.config->arena, &observer, 0};
  server.options = fields[4];
  server.stop_op = get16(fields + 5);
  server.stop_output = get16(fields + 7);
  server.stop_left = get32(fields + 9);
  server.count = 0;
  server.pieces = 0;
  server.debt = 0;
  server.carried = 0;
  calibrate(&observer);
  server.total = 0;
}

/* What comes after the last op, or after a row. */
static uint8_t report(tinyml_status status) {
  server.invoked.ticks_low = (uint32_t)server.total;
  server.invoked.ticks_high = (uint32_t)(server.total >> 32);
  server.invoked.model_status = (int16_t)status;
  server.invoked.record_count = server.count;
  return status < 0 ? TINYML_LINK_MODEL_ERROR : TINYML_LINK_OK;
}

/* What follows the last piece of a row goes to the first piece of the next one, or to the total. */
static tinyml_status push_row(void) {
  tinyml_port_counter_reset();
  const tinyml_status status = server.config->model->push_row(&server.model, server.config->row);
  server.carried += without_overhead(tinyml_port_ticks());
  if (status != TINYML_MORE) server.total += server.carried;
  return status;
}

static uint8_t run(const uint8_t *fields) {
  const tinyml_model_info *model = server.config->model;
  server.next_row = 0;
  if (model->row_bytes > 0 && !server.recipe_valid) return TINYML_LINK_BAD_INPUTS;
  if (inputs_crc() != get32(fields)) return TINYML_LINK_BAD_INPUTS;
  send_busy(NO_OP);
  start(fields);
  tinyml_status status = TINYML_MORE;
  if (model->row_bytes == 0) {
    tinyml_port_counter_reset();
    status = model->invoke(&server.model);
    server.total += tinyml_port_ticks();
  }
  for (uint32_t row = 0; status == TINYML_MORE; ++row) {
    make_row(row);
    status = push_row();
  }
  return report(status);
}

static uint8_t push(const uint8_t *fields) {
  const tinyml_model_info *model = server.config->model;
  const uint16_t row = get16(fields + INVOKE_FIELDS);
  if (model->row_bytes == 0) return TINYML_LINK_BAD_COMMAND;
  if (tinyml_crc32(0, server.config->row, model->row_bytes) != get32(fields)) {
    return TINYML_LINK_BAD_INPUTS;
  }
  if (row != 0 && row != server.next_row) return TINYML_LINK_BAD_ROW;
  send_busy(NO_OP);
  if (row == 0) start(fields);
  const tinyml_status status = push_row();
  server.next_row = status == TINYML_MORE ? (uint16_t)(row + 1u) : 0;
  return report(status);
}

/* INVOKE and PUSH: what must not run twice. */
static void run_once(uint8_t (*request)(const uint8_t *fields), const uint8_t *fields) {
  if (!server.invoked_valid || server.invoked_sequence != server.sequence) {
    /* What a frame has cost so far is in it. */
    if (server.next_row == 0 || request == run) {
      memset(&server.invoked, 0, sizeof server.invoked);
    }
    server.invoked_answer = request(fields);
    server.invoked_sequence = server.sequence;
    server.invoked_valid = 1;
  }
  answer(server.invoked_answer, &server.invoked, sizeof server.invoked, "", 0);
}

static void paint(uint8_t pattern) {
  server.next_row = 0;
  memset(server.config->arena, pattern, server.config->model->arena_bytes);
  tinyml_port_paint_stack(pattern);
  answer_status(TINYML_LINK_OK);
}

static void marks(uint8_t pattern) {
  uint32_t reply[2] = {server.config->model->arena_bytes, 0};
  while (reply[0] > 0 && server.config->arena[reply[0] - 1u] == pattern) --reply[0];
  reply[1] = tinyml_port_stack_used(pattern);
  answer(TINYML_LINK_OK, reply, sizeof reply, "", 0);
}

static void dispatch(void) {
  /* Lengths of the fields, by command; a WRITE has data after them. */
  static const uint8_t lengths[] = {0, 0, 9,           WRITE_FIELDS, INVOKE_FIELDS,
                                    1, 1, FILL_FIELDS, PUSH_FIELDS};
  const uint8_t command = server.request[0];
  const uint8_t *fields = server.request + HEADER_BYTES;
  const size_t bytes = server.in.length - HEADER_BYTES;
  server.sequence = get16(server.request + 1);
  if (command != INVOKE && command != PUSH) server.invoked_valid = 0;
  if (command < HELLO || command > PUSH) {
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
        write_input(fields, bytes - WRITE_FIELDS);
        break;
      case INVOKE:
        run_once(run, fields);
        break;
      case PUSH:
        run_once(push, fields);
        break;
      case PAINT:
        paint(fields[0]);
        break;
      case MARKS:
        marks(fields[0]);
        break;
      default:
        fill_input(fields);
        break;
    }
  }
}

int tinyml_link_serve(const tinyml_link_config *config) {
  memset(&server, 0, sizeof server);
  server.config = config;
  server.in.data = server.request;
  server.in.capacity = sizeof server.request;
  for (;;) {
    const int byte = tinyml_port_read();
    if (byte < 0) return 0;
    if (tinyml_frame_in_byte(&server.in, (uint8_t)byte)) {
      if (server.in.length >= HEADER_BYTES) dispatch();
      tinyml_frame_in_reset(&server.in);
    }
  }
}

void tinyml_port_on_fault(const uint32_t *frame, uint32_t cause) {
  const uint32_t report[3] = {frame ? frame[6] : 0, frame ? frame[5] : 0, cause};
  do {
    begin(FAULT, 0);
    tinyml_frame_put(&server.out, report, sizeof report);
    tinyml_frame_end(&server.out);
    int byte;
    do {
      byte = tinyml_port_read();
      if (byte < 0) return;
    } while (byte != 0);
  } while (1);
}
