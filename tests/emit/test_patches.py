"""Patches and pulled inputs: tiles compute, piece by piece, what whole layers compute.

All that the observer is told of is compared, halos included, and what is read of the input.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.emit.test_generated import assert_fits_the_page, compile_model
from tests.support.emitted import SANITIZE, STRICT, Models, collect, run_tool
from tests.support.graphs import GraphBuilder, cases, graphs, random_inputs
from tests.support.patched import drawn_patch
from tests.support.streamed import Calls, Scheduler, planned
from tinyml.board import load_board
from tinyml.emit import Project, emit, open_project
from tinyml.emit.pieces import input_pieces, joined, output_pieces
from tinyml.errors import PlanError
from tinyml.ir import ops
from tinyml.ir.graph import Array, DType, Graph, Shape
from tinyml.ir.ops import Pads
from tinyml.passes import optimize
from tinyml.reference import run
from tinyml.schedule.schedule import Feed, Schedule, Segment, SegmentKind, Strip
from tinyml.schedule.search import patch_schedule
from tinyml.toolchain import build

NETWORKS = 24
"""That are drawn for each kind; not all of them can be tiled."""
LEAST = 6


def assert_pieces(
    models: Models, networks: list[Graph], inputs: list[list[dict[str, Array]]]
) -> int:
    """Every piece of every op; how many tensors came in parts of rows."""
    parts = 0
    for index, (graph, runs) in enumerate(zip(networks, inputs, strict=True)):
        plan, manifest = models.plans[index], models.projects[index].manifest
        pieces = {
            entry.name: output_pieces(manifest, op, i)
            for op, node in enumerate(manifest.ops)
            for i, entry in enumerate(node.outputs)
        }
        if plan.schedule.fed:
            pieces[graph.inputs[0]] = input_pieces(manifest)
        for x, found in zip(runs, models.observed(index, runs), strict=True):
            inner = run(plan.graph, x, keep=True) | x
            outer = run(graph, x)
            for key, (tensor, data) in found.items():
                if key.startswith("output:"):
                    expected = outer[tensor.name].tobytes()
                else:
                    expected = joined(inner[key].tobytes(), pieces[key])
                    parts += len(pieces[key]) > max(tensor.shape[1:2], default=1)
                assert data == expected, f"{graph.name}[{index}]: {key}"
    return parts


def tiled(patches: tuple[int, int], feed: Feed, count: int | None = None) -> Scheduler:
    """So many of the first ops, or as many as need the least memory, in a grid of tiles."""

    def schedule(graph: Graph, layers: Calls, rows: Calls) -> Schedule:
        return patch_schedule(graph, layers, rows, feed=feed, patches=patches, ops=count)

    return schedule


@pytest.mark.parametrize("pull", [False, True])
@pytest.mark.parametrize("drawn", [False, True])
def test_random_networks(drawn: bool, pull: bool, tmp_path: Path) -> None:
    feed = Feed.PULL if pull else Feed.WHOLE
    networks, plans, inputs = [], [], []
    for index, case in enumerate(collect(cases(graphs()), 4 * NETWORKS)[pull + 2 * drawn :: 4]):
        grid = (1 + index % 3, 1 + (index // 3 + 1) % 3)
        scheduler = drawn_patch(index, pull=pull) if drawn else tiled(grid, feed)
        try:
            plans.append(planned(optimize(case.graph), scheduler))
        except PlanError:
            continue
        networks.append(case.graph)
        inputs.append([dict(case.inputs), random_inputs(case.graph, 5)])
    assert len(networks) >= LEAST
    left = iter(plans)
    models = Models(networks, tmp_path, planner=lambda _: next(left))
    assert assert_pieces(models, networks, inputs) > LEAST


def net() -> Graph:
    b = GraphBuilder("net")
    x = b.input((1, 12, 19, 3), name="image")
    x = b.conv(x, 4, (3, 3), stride=(2, 2), pads=Pads(0, 1, 1, 1))
    x = b.depthwise(x, 1, (3, 3), pads=Pads(1, 1, 1, 1))
    x = b.conv(x, 6, (1, 1))
    return b.graph(b.dense(b.node(ops.Mean(axes=(1, 2)), (x,), b.quant()), 5))


def written(folder: Path, feed: Feed = Feed.PULL, board: str = "host") -> Project:
    plan = planned(optimize(net()), tiled((2, 3), feed, 3), load_board(board))
    return emit(plan, load_board(board), folder, source=b"model", name="net")


@pytest.mark.parametrize("feed", [Feed.WHOLE, Feed.PULL])
def test_reads_like_written_by_hand(feed: Feed, tmp_path: Path) -> None:
    project = written(tmp_path, feed)
    code = (tmp_path / "src/net.c").read_text()
    for part in (
        "static const int8_t *op0_n0(uint8_t *arena, int32_t y, size_t strip) {\n",
        "  /* Of each strip: the span, and where what is read and written begins in a row, in "
        "bytes. */\n  static const struct {\n    uint8_t ",
        "in_width, out_width, pad_left",
        ".in_width = strips[strip].in_width,",
        "/* Ops 0 to 2, in 2 x 3 tiles; ",
        "  /* Where in it the steps of a band's tiles begin and stop, and the row of each op's "
        "first one. */\n  static const struct {\n    uint8_t start, stop;\n    uint8_t rows[",
        "  static const uint8_t row_bytes[][3] = {\n      {",
        "    for (size_t strip = 0; strip < 3; strip++) {\n"
        "      memcpy(next, bands[band].rows, sizeof next);\n",
        "          case 1:\n            row = op1_n1(arena, y, strip);\n            break;\n",
    ):
        assert part in code, part
    assert ("if (read(user, y, strips[strip].x, strips[strip].width," in code) == (
        feed is Feed.PULL
    )
    for path in ("net.c", "net.h"):
        text = (tmp_path / "src" / path).read_text()
        assert not re.search(r"[ \t]$|\n\n\n", text, re.MULTILINE), path
    assert_fits_the_page(project)
    for optimization in ("-O2", "-Os"):
        compile_model(project, optimization)


def test_the_manifest_says_what_tiles_compute(tmp_path: Path) -> None:
    manifest = written(tmp_path).manifest
    assert open_project(tmp_path).manifest == manifest
    assert manifest.pull and manifest.segments[0].kind == "patch"
    last = manifest.ops[2].outputs[0]
    # The pieces of what leaves the patch are all of it, each once; of what does not, more.
    counts = np.zeros((3, 6 * 10), int)
    for op in range(3):
        for piece in output_pieces(manifest, op, 0):
            pixel = manifest.ops[op].outputs[0].pixel_bytes
            counts[op, piece.start // pixel : (piece.start + piece.bytes) // pixel] += 1
    assert last.ring_rows == 0 and set(counts[2]) == {1}
    assert set(counts[0]) == {1, 2, 4} and set(counts[1]) == {1}
    macs = [op.macs for op in manifest.ops]
    assert macs[0] == 4 * 27 * counts[0].sum() and macs[1] == 4 * 9 * 60
    assert f"#define NET_MACS {sum(macs)}\n" in (tmp_path / "src/net.h").read_text()
    read = input_pieces(manifest)
    assert {piece.bytes % 3 for piece in read} == {0} and sum(p.bytes for p in read) > 12 * 19 * 3


_API = """
#include <stdio.h>
#include <string.h>
#include "net.h"
#define CHECK(x) do if (!(x)) return fprintf(stderr, "%d: %s\\n", __LINE__, #x), 1; while (0)
static int8_t frames[2][NET_INPUT_BYTES], expected[2][NET_OUTPUT_BYTES], found[NET_OUTPUT_BYTES];
static _Alignas(8) uint8_t arena[NET_ARENA_BYTES + 64];
struct source { const int8_t *frame; int reads, limit; };
static int fetch(void *user, int32_t y, int32_t x, int32_t width, void *to) {
  struct source *s = user;
  if (s->reads++ == s->limit) return -7;
  if (y < 0 || y >= NET_INPUT_ROWS || x < 0 || width < 1 || x + width > NET_INPUT_COLUMNS) return 1;
  const size_t at = ((size_t)y * NET_INPUT_COLUMNS + (size_t)x) * NET_INPUT_PIXEL_BYTES;
  memcpy(to, (const uint8_t *)s->frame + at, (size_t)width * NET_INPUT_PIXEL_BYTES);
  return 0;
}
static int stop_at(void *user, uint16_t op, uint16_t output, const void *data, size_t bytes) {
  (void)op; (void)output; (void)data; (void)bytes;
  return --*(int *)user == 0;
}
int main(void) {
  net_t m = {NULL, NULL, 0, NULL};
  struct source s = {frames[0], 0, -1};
  CHECK(NET_INPUT_ROWS == 12 && NET_INPUT_COLUMNS == 19 && NET_INPUT_PIXEL_BYTES == 3);
  CHECK(net_pull(&m, fetch, &s, found) == TINYML_ERROR_NULL);
  CHECK(net_pull(NULL, fetch, &s, found) == TINYML_ERROR_NULL);
  CHECK(net_invoke(&m, frames[0], found) == TINYML_ERROR_NULL);
  CHECK(net_init(&m, arena, NET_ARENA_BYTES) == TINYML_OK);
  CHECK(net_pull(&m, NULL, &s, found) == TINYML_ERROR_NULL);
  CHECK(net_invoke(&m, NULL, found) == TINYML_ERROR_NULL && s.reads == 0);
  for (size_t i = 0; i < sizeof frames; i++) {
    frames[i / NET_INPUT_BYTES][i % NET_INPUT_BYTES] = (int8_t)(i * i * 37);
  }
  for (int i = 0; i < 2; i++) {
    CHECK(net_invoke(&m, frames[i], NULL) == TINYML_OK);
    memcpy(expected[i], net_output(&m), sizeof expected[i]);
    s = (struct source){frames[i], 0, -1};
    CHECK(net_pull(&m, fetch, &s, found) == TINYML_OK && s.reads > NET_INPUT_ROWS);
    CHECK(memcmp(expected[i], found, sizeof found) == 0);
  }
  CHECK(memcmp(expected[0], expected[1], sizeof found) != 0);
  /* Given up at any read, or by the observer: the next inference knows nothing of it. */
  const int reads = s.reads;
  for (int limit = 0; limit < reads; limit++) {
    s = (struct source){frames[0], 0, limit};
    CHECK(net_pull(&m, fetch, &s, found) == TINYML_ERROR_READ && s.reads == limit + 1);
  }
  for (int calls = 1; calls < 9; calls++) {
    int left = calls;
    const tinyml_observer observer = {stop_at, &left};
    m.observer = &observer;
    s = (struct source){frames[0], 0, -1};
    CHECK(net_pull(&m, fetch, &s, found) == TINYML_STOPPED && left == 0);
    m.observer = NULL;
  }
  CHECK(net_invoke(&m, frames[1], found) == TINYML_OK);
  CHECK(memcmp(expected[1], found, sizeof found) == 0);
  for (size_t i = NET_ARENA_BYTES; i < sizeof arena; i++) CHECK(arena[i] == 0);
  CHECK(net_info.row_bytes == 57 && net_info.pixel_bytes == 3 && net_info.invoke == NULL);
  return 0;
}
"""


def test_the_api(tmp_path: Path) -> None:
    project = written(tmp_path)
    (tmp_path / "own.c").write_text(_API.replace("_Alignas(8)", "__attribute__((aligned(8)))"))
    sources = [tmp_path / p for p in project.sources if p.startswith(("src/", "runtime/"))]
    includes = [f"-I{tmp_path / d}" for d in ("src", "runtime/include", "runtime/src")]
    program = tmp_path / "own"
    run_tool("gcc", *STRICT, *SANITIZE, *includes, *sources, tmp_path / "own.c", "-o", program)
    run_tool(program)


def extremes() -> list[Graph]:
    """Rows, columns and bytes that the smallest types of C do not hold; floats; constant maps."""

    def chain(name: str, shape: Shape) -> Graph:
        b = GraphBuilder(name)
        x = b.conv(b.input(shape, name="x"), 2, (3, 3), pads=Pads(1, 1, 1, 1))
        return b.graph(b.depthwise(x, 1, (3, 3), stride=(2, 2)))

    b = GraphBuilder("floats and a map of constants")
    x = b.input((1, 6, 9, 3), dtype=DType.FLOAT32, name="x")
    y = b.node(ops.Quantize(), (x,), b.quant())
    y = b.node(ops.Add(), (y, b.random_const((1, 1, 9, 3), b.quant())), b.quant())
    mixed = b.graph(b.conv(y, 2, (3, 3), pads=Pads(1, 1, 1, 1)))
    return [
        chain("rows", (1, 600, 4, 1)),
        chain("columns", (1, 4, 700, 1)),
        chain("pixels", (1, 6, 9, 300)),
        mixed,
    ]


def test_extremes(tmp_path: Path) -> None:
    networks = extremes()
    scheduler = tiled((2, 2), Feed.PULL)
    models = Models(networks, tmp_path, planner=lambda graph: planned(graph, scheduler))
    assert_pieces(models, networks, [[random_inputs(g, 1)] for g in networks])
    assert all(plan.schedule.segments[0].kind is SegmentKind.PATCH for plan in models.plans)
    code = [(p.root / f"src/m{i}.c").read_text() for i, p in enumerate(models.projects)]
    assert "uint16_t rows[" in code[0] and "uint16_t next[" in code[0]
    assert "    uint16_t x" in code[1]
    assert "uint16_t row_bytes[][" in code[1]


@pytest.mark.parametrize("board", ["stm32", "qemu-cortex-m0"])
def test_every_compiler_takes_it_strictly(board: str, tmp_path: Path) -> None:
    built = build(written(tmp_path, board=board), "gcc")
    assert built.sram_bytes > 0


def refused(change: Callable[[Segment], Segment], feed: Feed, folder: Path, why: str) -> None:
    whole = feed is Feed.WHOLE
    plan = planned(optimize(net()), tiled((2, 3), feed if whole else Feed.PULL, 3))
    first, *rest = plan.schedule.segments
    wrong = replace(plan, schedule=Schedule((change(first), *rest), feed))
    with pytest.raises(PlanError, match=why):
        emit(wrong, load_board("host"), folder, source=b"")


def test_tiles_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    def strips(change: Callable[[int, int], tuple[int, int]]) -> Callable[[Segment], Segment]:
        """With other columns of op 0."""

        def changed(segment: Segment) -> Segment:
            first, *rest = segment.strips
            columns = (change(*first.columns[0]), *first.columns[1:])
            return replace(segment, strips=(Strip(columns), *rest))

        return changed

    def later(segment: Segment) -> Segment:
        *bands, last = segment.bands
        down = tuple(first + 1 for first in last.first_rows)
        return replace(segment, bands=(*bands, replace(last, first_rows=down)))

    for feed in (Feed.WHOLE, Feed.PULL):
        refused(strips(lambda a, b: (a, b - 1)), feed, tmp_path, "reads columns .* which has")
        refused(strips(lambda a, b: (a, b + 9)), feed, tmp_path, "has room for")
        refused(lambda s: replace(s, program=s.program[1:]), feed, tmp_path, "do not share out")
        refused(lambda s: replace(s, strips=()), feed, tmp_path, "no tiles")
        refused(later, feed, tmp_path, "computes rows")
    refused(lambda s: replace(s, rings=()), Feed.PULL, tmp_path, "holds no rows")
    refused(lambda s: s, Feed.ROWS, tmp_path, "row by row")
