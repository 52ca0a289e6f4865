"""The generated C of streams: readable, checked by the compiler, the same every time."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from tests.emit.test_generated import assert_fits_the_page, compile_model
from tests.emit.test_project import contents
from tests.support.builder import SOFTMAX_QUANT
from tests.support.emitted import SANITIZE, STRICT, plan_of, run_tool
from tests.support.graphs import GraphBuilder
from tests.support.streamed import planned, stream_schedule
from tinyml.board import load_board
from tinyml.emit import Project, emit, open_project
from tinyml.emit.manifest import SegmentEntry
from tinyml.errors import PlanError
from tinyml.ir import ops
from tinyml.ir.graph import Graph
from tinyml.ir.ops import Pads
from tinyml.planning import Plan
from tinyml.resources import runtime_dir
from tinyml.schedule.schedule import Ring, Schedule, Segment, SegmentKind
from tinyml.toolchain import build


def net() -> Graph:
    """A stream of four ops with a residual branch and a mean, then a layer."""
    b = GraphBuilder("net")
    x = b.input((1, 8, 8, 3), name="image")
    x = b.conv(x, 4, (3, 3), stride=(2, 2), pads=Pads(0, 1, 0, 1), output="features")
    y = b.depthwise(x, 1, (3, 3), pads=Pads(1, 1, 1, 1), output="filtered")
    x = b.node(ops.Add(), (x, y), b.quant(), output="total")
    x = b.node(ops.Mean(axes=(1, 2)), (x,), b.quant(), output="pooled")
    return b.graph(b.node(ops.Softmax(), (x,), SOFTMAX_QUANT, output="logits"))


def streamed(graph: Graph | None = None, board: str = "host") -> Plan:
    return planned(graph or net(), stream_schedule, load_board(board))


def written(plan: Plan, folder: Path, board: str = "host") -> Project:
    return emit(plan, load_board(board), folder, source=b"model", name="net")


def test_reads_like_written_by_hand(tmp_path: Path) -> None:
    project = written(streamed(), tmp_path)
    code = (tmp_path / "src/net.c").read_text()
    for part in (
        "/* Op 1: DEPTHWISE_CONV_2D n1, 576 MACs.\n"
        " * n0 int8[1,4,4,4] (3 of 4 rows) -> n1 int8[1,4,4,4] (1 of 4 rows) */\n"
        "static const int8_t *op1_n1(uint8_t *arena, int32_t y) {\n",
        "  tinyml_rows(rows, 3, in, 8, 24, 2 * y, 1);\n",
        "  tinyml_ring_rows(rows, 3, in, 3, 4, 16, y - 1, 1);\n"
        "  tinyml_depthwise_conv_3x3_s8(&op, &span, rows, out);\n"
        "  return out;\n}\n",
        " + 16 * tinyml_slot(y, 3, 4);\n",
        "  if (y == 0) {\n    tinyml_mean_hw_s8_begin(&op, scratch);\n  }\n",
        "  if (y < 3) {\n    return NULL;\n  }\n"
        "  tinyml_mean_hw_s8_end(&op, scratch, out);\n  return out;\n}\n",
        "/* Ops 0 to 3, row by row, in 16 steps; non-zero: the observer wants to stop. */\n"
        "static int ops0_to_3(const tinyml_model *m) {\n",
        "  static const uint8_t program[] = {\n      0, 0, 1, 2, ",
        "  static const uint8_t row_bytes[] = {\n      16, 16, 16, 4,\n  };\n",
        "      case 1:\n        row = op1_n1(arena, y);\n        break;\n",
        "  if (ops0_to_3(m)) {\n    return TINYML_STOPPED;\n  }\n\n  op4_n4(arena);\n",
    ):
        assert part in code, part
    # What lies in the arena: operators by their indices, segments having no other name.
    assert "ops   0-3   3 of 4 rows of n0" in code
    assert "ops   0-4   n3" in code
    header = (tmp_path / "src/net.h").read_text().replace("\n * ", " ")
    assert "live bytes at ops 0 to 3, n0 to n3. */" in header
    assert_fits_the_page(project)
    compile_model(project)
    for optimization in ("-O2", "-Os"):
        compile_model(project, optimization)


def test_the_manifest_says_what_is_held(tmp_path: Path) -> None:
    plan = streamed()
    written(plan, tmp_path)
    manifest = open_project(tmp_path).manifest
    assert manifest.segments == (
        SegmentEntry("stream", (0, 1, 2, 3)),
        SegmentEntry("layer", (4,)),
    )
    held = {t.name: (t.row_bytes, t.ring_rows) for op in manifest.ops for t in op.outputs}
    assert held == {
        "features": (16, 3),
        "filtered": (16, 1),
        "total": (16, 1),
        "pooled": (0, 0),
        "logits": (0, 0),
    }
    assert manifest.ops[1].inputs[0] == manifest.ops[0].outputs[0]
    whole = emit(plan_of(net()), load_board("host"), tmp_path / "whole", source=b"").manifest
    assert {s.kind for s in whole.segments} == {"layer"}
    assert all(t.row_bytes == t.ring_rows == 0 for op in whole.ops for t in op.outputs)


def test_emits_the_same_bytes_every_time(tmp_path: Path) -> None:
    written(streamed(), tmp_path / "one")
    written(streamed(), tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


needs_zig = pytest.mark.skipif(
    importlib.util.find_spec("ziglang") is None, reason="ziglang is not installed"
)


@pytest.mark.parametrize("board", ["stm32", "qemu-cortex-m0"])
@pytest.mark.parametrize(
    "compiler", ["gcc", pytest.param("zig", marks=[needs_zig, pytest.mark.slow])]
)
def test_every_compiler_takes_it_strictly(board: str, compiler: str, tmp_path: Path) -> None:
    b = GraphBuilder("every kind of row")
    x = b.input((1, 6, 5, 2), name="x")
    y = b.node(ops.ResizeBilinear(size=(9, 7)), (b.node(ops.Relu(), (x,)),))
    z = b.node(ops.ResizeNearestNeighbor(size=(9, 7)), (x,))
    y = b.node(ops.Concatenation(axis=3), (y, z), b.tensors[y].quant)
    y = b.node(ops.MaxPool2D(filter=(2, 2)), (b.conv(y, 3, (3, 3), dilation=(2, 1)),))
    graph = b.graph(b.node(ops.Mean(axes=(1, 2)), (y,), b.quant()))
    for folder, plan in (("a", streamed(net(), board)), ("b", streamed(graph, board))):
        build(written(plan, tmp_path / folder, board), compiler)
    assert "tinyml_chosen_ring_rows(" in (tmp_path / "b/src/net.c").read_text()


_SLOTS = """
#include <stdio.h>
#include "tinyml_generated.h"
int main(void) {
  for (int32_t held = 1; held <= 70000; held += held < 300 ? 1 : 997) {
    const int32_t most = 65536 / held;
    for (int32_t height = most; height <= most + 1; height++) {
      for (int32_t row = 0; row < height; row++) {
        if (tinyml_slot(row, held, height) != row % held) {
          return printf("%d of %d, height %d\\n", (int)row, (int)held, (int)height), 1;
        }
      }
    }
  }
  return 0;
}
"""


def test_slots_are_remainders(tmp_path: Path) -> None:
    (tmp_path / "slots.c").write_text(_SLOTS)
    include = f"-I{runtime_dir() / 'include'}"
    program = tmp_path / "slots"
    run_tool("gcc", *STRICT, *SANITIZE, include, tmp_path / "slots.c", "-o", program)
    run_tool(program)


_STOPS = """
#include <stdio.h>
#include <string.h>
#include "net.h"
#define CHECK(x) do if (!(x)) return fprintf(stderr, "%d: %s\\n", __LINE__, #x), 1; while (0)
static int limit, calls[NET_OP_COUNT], sizes[NET_OP_COUNT];
static int look(void *user, uint16_t op, uint16_t output, const void *data, size_t bytes) {
  (void)user; (void)data;
  calls[op]++;
  sizes[op] += (int)bytes;
  return output != 0 || --limit == 0;
}
int main(void) {
  static uint8_t arena[NET_ARENA_BYTES] __attribute__((aligned(8)));
  static int8_t input[NET_INPUT_BYTES], output[NET_OUTPUT_BYTES], again[NET_OUTPUT_BYTES];
  const tinyml_observer observer = {look, NULL};
  net_t m;
  CHECK(net_init(&m, arena, sizeof arena) == TINYML_OK);
  for (size_t i = 0; i < sizeof input; i++) input[i] = (int8_t)(i * 29);
  CHECK(net_invoke(&m, input, output) == TINYML_OK);
  m.observer = &observer;
  limit = 3;
  CHECK(net_invoke(&m, input, again) == TINYML_STOPPED);
  CHECK(calls[0] == 2 && calls[1] == 1 && calls[2] == 0);
  /* A run that was stopped leaves nothing behind. */
  memset(calls, 0, sizeof calls);
  memset(sizes, 0, sizeof sizes);
  CHECK(net_invoke(&m, input, again) == TINYML_OK);
  CHECK(memcmp(output, again, sizeof output) == 0);
  CHECK(calls[0] == 4 && calls[1] == 4 && calls[2] == 4 && calls[3] == 1 && calls[4] == 1);
  CHECK(sizes[0] == 64 && sizes[1] == 64 && sizes[2] == 64 && sizes[3] == 4 && sizes[4] == 4);
  CHECK(NET_OUTPUTS_OBSERVED == 5);
  return 0;
}
"""


def test_the_observer_sees_rows_and_stops_at_any(tmp_path: Path) -> None:
    project = written(streamed(), tmp_path)
    (tmp_path / "own.c").write_text(_STOPS)
    sources = [tmp_path / p for p in project.sources if p.startswith(("src/", "runtime/"))]
    includes = [f"-I{tmp_path / d}" for d in ("src", "runtime/include", "runtime/src")]
    program = tmp_path / "own"
    run_tool("gcc", *STRICT, *SANITIZE, *includes, *sources, tmp_path / "own.c", "-o", program)
    run_tool(program)


def changed(plan: Plan, **values: object) -> Plan:
    """The plan with another first segment."""
    first, *rest = plan.schedule.segments
    return replace(plan, schedule=Schedule((replace(first, **values), *rest)))  # type: ignore[arg-type]


def test_a_program_that_leaves_rows_out_is_refused(tmp_path: Path) -> None:
    plan = streamed()
    program = plan.schedule.segments[0].program
    for wrong in (program[:-1], (*program, 0), (*program[:-1], 4), ()):
        with pytest.raises(PlanError, match="the program of ops n0, n1, n2, n3 takes"):
            written(changed(plan, program=wrong), tmp_path)


def test_rows_of_what_is_needed_whole_are_refused(tmp_path: Path) -> None:
    plan = streamed()
    rings = plan.schedule.segments[0].rings
    with pytest.raises(PlanError, match="holds rows of logits, which no stream computes"):
        written(changed(plan, rings=(*rings, Ring("logits", 1))), tmp_path)
    layers = tuple(
        replace(plan.schedule.segments[0], nodes=(name,), rings=(), program=())
        for name in ("n1", "n2", "n3")
    )
    first = Segment(SegmentKind.STREAM, ("n0",), (Ring("features", 3),), (0,) * 4)
    cut = (
        first,
        *(replace(s, kind=SegmentKind.LAYER) for s in layers),
        *plan.schedule.segments[1:],
    )
    with pytest.raises(PlanError, match="'n1' needs 'features' whole"):
        written(replace(plan, schedule=Schedule(cut)), tmp_path)


def test_what_takes_no_rows_is_refused(tmp_path: Path) -> None:
    plan = streamed()
    (first, last) = plan.schedule.segments
    wrong = replace(first, nodes=(*first.nodes, *last.nodes), program=(*first.program, 4))
    with pytest.raises(PlanError, match="'n4' is in a stream, but its kernel does not take rows"):
        written(replace(plan, schedule=Schedule((wrong,))), tmp_path)


def test_rows_of_another_size_are_refused(tmp_path: Path) -> None:
    plan = streamed()
    call = plan.calls["n1"]
    (access,) = call.loop.inputs  # type: ignore[union-attr]
    loop = replace(call.loop, inputs=(replace(access, height=8, row_bytes=8),))  # type: ignore[call-arg]
    wrong = replace(plan, calls={**plan.calls, "n1": replace(call, loop=loop)})
    with pytest.raises(PlanError, match="'n1' reads 'features' as 8 rows of 8 bytes, but"):
        written(wrong, tmp_path)
