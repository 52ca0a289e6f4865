"""Models whose input comes row by row: what they compute, and how their API behaves."""

from functools import partial
from pathlib import Path

import pytest

from tests.emit.test_bit_exact import assert_models
from tests.support.emitted import SANITIZE, STRICT, Models, collect, run_tool
from tests.support.graphs import GraphBuilder, NetworkCase, cases, graphs, random_inputs
from tests.support.models import model_path
from tests.support.streamed import Scheduler, best_schedule, planned, stream_schedule
from tinyml.board import load_board
from tinyml.emit import emit
from tinyml.errors import PlanError
from tinyml.importers import load
from tinyml.ir.graph import Graph
from tinyml.ir.ops import Pads
from tinyml.passes import int8_io, optimize
from tinyml.schedule.schedule import Feed

DRAWN = 120
LEAST = 24
SCHEDULERS: dict[str, Scheduler] = {
    "best": partial(best_schedule, feed=Feed.ROWS),
    "streams": partial(stream_schedule, feed=Feed.ROWS),
}


def takes_rows(graph: Graph) -> bool:
    try:
        planned(optimize(graph), SCHEDULERS["streams"])
    except PlanError:
        return False
    return True


@pytest.fixture(scope="module")
def drawn() -> list[NetworkCase]:
    """Of all networks that are drawn, those that can take rows."""
    found = [case for case in collect(cases(graphs()), DRAWN) if takes_rows(case.graph)]
    assert len(found) > LEAST
    return found


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_random_networks(kind: str, drawn: list[NetworkCase], tmp_path: Path) -> None:
    """Two frames one after the other, the arena spoilt between them, row after row."""
    chosen = drawn[list(SCHEDULERS).index(kind) :: len(SCHEDULERS)]
    networks = [case.graph for case in chosen]
    models = Models(networks, tmp_path, planner=partial(planned, scheduler=SCHEDULERS[kind]))
    assert all(plan.schedule.fed for plan in models.plans)
    frames = [[dict(case.inputs), random_inputs(case.graph, 7)] for case in chosen]
    assert assert_models(models, networks, frames) > len(networks)


def chain() -> Graph:
    """Needs a window of input rows; its last rows and columns count."""
    b = GraphBuilder("net")
    x = b.input((1, 9, 5, 3), name="x")
    y = b.conv(x, 4, kernel=(3, 3), pads=Pads(1, 1, 1, 1))
    y = b.depthwise(y, 1, (3, 3), stride=(2, 2), pads=Pads(1, 1, 1, 1))
    return b.graph(b.dense(b.conv(y, 3), 6))


def hundreds_of_rows() -> Graph:
    """More rows and more bytes in one than a byte counts, and a window over rows and floats."""
    b = GraphBuilder("rows")
    x = b.input((1, 300, 100, 3), name="x")
    return b.graph(b.conv(x, 2, kernel=(3, 3), stride=(2, 2)))


def test_extremes(tmp_path: Path) -> None:
    networks = [chain(), hundreds_of_rows()]
    planner = partial(planned, scheduler=SCHEDULERS["streams"])
    models = Models(networks, tmp_path, planner=planner)
    assert_models(models, networks, [[random_inputs(g, seed) for seed in (1, 2)] for g in networks])


_API = """
#include <stdio.h>
#include <string.h>

#include "m.h"

#define CHECK(condition)                                   \\
  do {                                                     \\
    if (!(condition)) {                                    \\
      fprintf(stderr, "%d: %s\\n", __LINE__, #condition);  \\
      return 1;                                            \\
    }                                                      \\
  } while (0)

static int stop_at(void *user, uint16_t op, uint16_t output, const void *data, size_t bytes) {
  (void)op, (void)output, (void)data, (void)bytes;
  return --*(int *)user == 0;
}

static uint8_t arena[M_ARENA_BYTES + 8] __attribute__((aligned(16)));
static int8_t frames[2][M_INPUT_BYTES], expected[2][M_OUTPUT_BYTES], found[M_OUTPUT_BYTES];

/* Row y of a frame; the last one is wanted to be the last. */
static int push(m_t *m, const int8_t *frame, int y) {
  int8_t row[M_INPUT_ROW_BYTES];
  memcpy(row, frame + (size_t)y * sizeof row, sizeof row);
  const tinyml_status status = m_push_row(m, row);
  memset(row, 0x11, sizeof row);
  return status == (y + 1 < M_INPUT_ROWS ? TINYML_MORE : TINYML_OK);
}

int main(void) {
  m_t m = {NULL, NULL, 0, NULL};
  CHECK(M_INPUT_ROWS == 9 && M_INPUT_ROW_BYTES == 15 && M_INPUT_BYTES == 9 * 15);
  CHECK(m_push_row(&m, frames[0]) == TINYML_ERROR_NULL);
  CHECK(m_invoke(&m, frames[0], found) == TINYML_ERROR_NULL);
  CHECK(m_push_row(NULL, frames[0]) == TINYML_ERROR_NULL && m_reset(NULL) == TINYML_ERROR_NULL);
  CHECK(m_init(&m, arena, M_ARENA_BYTES) == TINYML_OK);
  CHECK(m_push_row(&m, NULL) == TINYML_ERROR_NULL);
  CHECK(m_invoke(&m, NULL, found) == TINYML_ERROR_NULL);
  for (size_t i = 0; i < sizeof frames; i++) {
    frames[i / M_INPUT_BYTES][i % M_INPUT_BYTES] = (int8_t)(i * i * 37);
  }
  for (int i = 0; i < 2; i++) {
    CHECK(m_invoke(&m, frames[i], NULL) == TINYML_OK);
    memcpy(expected[i], m_output(&m), sizeof expected[i]);
    CHECK(m_invoke(&m, frames[i], found) == TINYML_OK);
    CHECK(memcmp(expected[i], found, sizeof found) == 0);
  }
  CHECK(memcmp(expected[0], expected[1], sizeof found) != 0);
  /* One frame after the other, with whatever in between. */
  for (int i = 0; i < 4; i++) {
    for (int y = 0; y < M_INPUT_ROWS; y++) CHECK(push(&m, frames[i % 2], y));
    CHECK(memcmp(m_output(&m), expected[i % 2], sizeof found) == 0);
    if (i > 1) memset(arena, 0x5a, M_ARENA_BYTES);
  }
  /* Given up in the middle: by reset, by init, by invoke, by the observer. */
  for (int way = 0; way < 4; way++) {
    for (int rows = 0; rows < M_INPUT_ROWS; rows++) {
      for (int y = 0; y < rows; y++) CHECK(push(&m, frames[0], y));
      int left = 1;
      const tinyml_observer observer = {stop_at, &left};
      if (way == 0) CHECK(m_reset(&m) == TINYML_OK);
      if (way == 1) CHECK(m_init(&m, arena, M_ARENA_BYTES) == TINYML_OK);
      if (way == 2) CHECK(m_invoke(&m, frames[0], NULL) == TINYML_OK);
      if (way == 3) {
        tinyml_status status = TINYML_MORE;
        m.observer = &observer;
        for (int y = rows; status == TINYML_MORE; y++) {
          status = m_push_row(&m, frames[0] + (size_t)y * M_INPUT_ROW_BYTES);
        }
        CHECK(status == TINYML_STOPPED);
        m.observer = NULL;
      }
      for (int y = 0; y < M_INPUT_ROWS; y++) CHECK(push(&m, frames[1], y));
      CHECK(memcmp(m_output(&m), expected[1], sizeof found) == 0);
    }
  }
  /* Two instances, row about. */
  static uint8_t other[M_ARENA_BYTES] __attribute__((aligned(16)));
  m_t n;
  CHECK(m_init(&n, other, sizeof other) == TINYML_OK);
  for (int y = 0; y < M_INPUT_ROWS; y++) CHECK(push(&m, frames[0], y) && push(&n, frames[1], y));
  CHECK(memcmp(m_output(&m), expected[0], sizeof found) == 0);
  CHECK(memcmp(m_output(&n), expected[1], sizeof found) == 0);
  for (size_t i = M_ARENA_BYTES; i < sizeof arena; i++) CHECK(arena[i] == 0);
  CHECK(m_info.row_bytes == 15 && m_info.inputs[0].bytes == 9 * 15 && m_info.invoke == NULL);
  return 0;
}
"""


def test_the_api(tmp_path: Path) -> None:
    plan = planned(optimize(chain()), SCHEDULERS["streams"])
    project = emit(plan, load_board("host"), tmp_path, source=b"model", name="m")
    (tmp_path / "own.c").write_text(_API)
    sources = [tmp_path / p for p in project.sources if p.startswith(("src/", "runtime/"))]
    includes = [f"-I{tmp_path / d}" for d in ("src", "runtime/include", "runtime/src")]
    program = tmp_path / "own"
    run_tool("gcc", *STRICT, *SANITIZE, *includes, *sources, tmp_path / "own.c", "-o", program)
    run_tool(program)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["ad01_int8", "kws_ref_model", "resnet8_cifar10_int8", "person_detect", "mcunet_vww_80_int8"],
)
def test_real_models(name: str, tmp_path: Path) -> None:
    graph = int8_io(load(model_path(name)))
    models = Models([graph], tmp_path, planner=partial(planned, scheduler=SCHEDULERS["best"]))
    assert_models(models, [graph], [[random_inputs(graph, 1)]])
