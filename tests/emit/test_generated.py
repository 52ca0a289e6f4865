"""The generated C itself: readable, safe for any name, checked by the compiler."""

import importlib.util
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.emit.nets import many_ends, renamed, shared_weights, small
from tests.emit.test_bit_exact import assert_models
from tests.support.emitted import SANITIZE, STRICT, Models, plan_of, run_tool
from tests.support.graphs import GraphBuilder, random_inputs
from tinyml.board import load_board
from tinyml.emit import Project, emit
from tinyml.errors import PlanError, UnsupportedError
from tinyml.ir import ops
from tinyml.ir.graph import Graph
from tinyml.planning import Plan

HOSTILE = (
    "int",
    "a*/b/*c",
    "über/straße;x",
    "日本",
    "",
    'quote"back\\slash\n#error new line',
    "??/trigraph",
    "9 lives",
    "_Static_assert",
    "printf",
    "op",
    "x" * 300,
    "%s {{ jinja }} {% raise %}",
)


def host_project(plan: Plan, folder: Path, name: str = "") -> Project:
    return emit(plan, load_board("host"), folder, source=b"model", name=name)


def compile_model(project: Project, *more: str | Path) -> None:
    """Compiles the model's own sources strictly."""
    root = project.root
    sources = [root / p for p in project.sources if p.startswith("src/")]
    includes = [f"-I{root / d}" for d in ("src", "runtime/include", "runtime/src")]
    for source in sources:
        run_tool("gcc", *STRICT, *includes, *more, "-c", source, "-o", root / "out.o")


def assert_fits_the_page(project: Project) -> None:
    for path in (project.root / "src").iterdir():
        assert max(map(len, path.read_text().splitlines())) <= 100, path


def test_reads_like_written_by_hand(tmp_path: Path) -> None:
    project = host_project(plan_of(small()), tmp_path, "net")
    code = (tmp_path / "src/net.c").read_text()
    header = (tmp_path / "src/net.h").read_text()
    weights = (tmp_path / "src/net_weights.c").read_text()
    assert "/* Op 0: CONV_2D n0, 1728 MACs.\n" in code
    assert " * image int8[1,8,8,3] -> n0 int8[1,4,4,4] */\nstatic void op0_n0(" in code
    assert "tinyml_rows(rows, 3, in, 8, 24, 2 * y - 1, 1);" in code
    assert "for (int32_t y = 0; y < 4; y++) {" in code
    assert "#define NET_INPUT_SHAPE {1, 8, 8, 3}\n" in header
    assert "int8_t *net_input(net_t *m);" in header
    assert "tinyml_status net_invoke(net_t *m, const int8_t *input, int8_t *output);" in header
    assert "op 0 (CONV_2D n0): weights" in weights
    image = plan_of(small()).graph.tensors["image"].q
    scale = re.search(r"#define NET_INPUT_SCALE (\S+)f$", header, re.MULTILINE)
    assert scale is not None
    assert np.float32(scale[1]) == np.float32(image.scale)
    for path in ("net.c", "net.h", "net_weights.c", "net_weights.h"):
        text = (tmp_path / "src" / path).read_text()
        assert not re.search(r"[ \t]$|\n\n\n", text, re.MULTILINE), path
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
    assert_fits_the_page(project)
    compile_model(project)


def test_has_no_mutable_globals(tmp_path: Path) -> None:
    project = host_project(plan_of(small()), tmp_path)
    for source in (p for p in project.sources if p.startswith(("src/", "runtime/"))):
        includes = [f"-I{tmp_path / d}" for d in ("src", "runtime/include", "runtime/src")]
        run_tool("gcc", "-std=c99", "-c", *includes, tmp_path / source, "-o", tmp_path / "o.o")
        symbols = run_tool("nm", tmp_path / "o.o").stdout.decode()
        assert not re.search(r" [bBC] ", symbols), (source, symbols)
        # .data.rel.ro holds constants with pointers; nm calls it d, so ask for the section.
        sections = run_tool("objdump", "-h", tmp_path / "o.o").stdout.decode()
        data = re.search(r" \.data +([0-9a-f]+) ", sections)
        assert data is None or int(data[1], 16) == 0, source


def test_equal_tables_are_emitted_once(tmp_path: Path) -> None:
    plan = plan_of(shared_weights())
    project = host_project(plan, tmp_path, "net")
    weights = (tmp_path / "src/net_weights.c").read_text()
    assert weights.count("weights[") == 1
    assert re.search(r"op 0 \(.*\): weights; op 1 \(.*\): weights", weights)
    compile_model(project)


@pytest.mark.parametrize("model", [*HOSTILE, "int8", "math", "string", "tinyml", "main", "class"])
def test_any_name_of_a_model_compiles(model: str, tmp_path: Path) -> None:
    project = host_project(plan_of(small(model)), tmp_path)
    compile_model(project)
    assert_fits_the_page(project)
    header = tmp_path / f"src/{project.manifest.name}.h"
    program = tmp_path / "own.c"
    program.write_text(
        f'#include <math.h>\n#include <string.h>\n#include "{header.name}"\n'
        f"int main(void) {{ return (int){project.manifest.name.upper()}_OP_COUNT; }}\n"
    )
    run_tool(
        "gcc",
        *STRICT,
        f"-I{tmp_path}/src",
        f"-I{tmp_path}/runtime/include",
        "-c",
        program,
        "-o",
        tmp_path / "own.o",
    )


def test_hostile_names_of_tensors_and_ops(tmp_path: Path) -> None:
    graphs = [renamed(g, HOSTILE) for g in (small(), many_ends(), shared_weights())]
    graphs += [renamed(small(), ["same"]), renamed(small(), ["op0_", "OP0-"])]
    models = Models(graphs, tmp_path)
    assert assert_models(models, graphs, [[random_inputs(g, 1)] for g in graphs])
    for plan, folder in zip(models.plans, range(len(graphs)), strict=True):
        assert_fits_the_page(host_project(plan, tmp_path / f"long{folder}", "y" * 300))


_API = """
#include <stdio.h>
#include <string.h>
#include "m.h"
#define CHECK(x) do if (!(x)) return fprintf(stderr, "%d: %s\\n", __LINE__, #x), 1; while (0)
static int stop_at_1(void *user, uint16_t op, uint16_t output, const void *data, size_t bytes) {
  (void)output; (void)data; (void)bytes;
  ++*(int *)user;
  return op == 1;
}
int main(void) {
  static uint8_t arena[M_ARENA_BYTES + 8] __attribute__((aligned(16)));
  static int8_t a[M_INPUT_0_BYTES], total[M_OUTPUT_0_BYTES];
  static float b[M_INPUT_1_BYTES / sizeof(float)], real[M_OUTPUT_1_BYTES / sizeof(float)];
  static int32_t best[M_OUTPUT_2_BYTES / sizeof(int32_t)];
  const int32_t shape[] = M_OUTPUT_2_SHAPE;
  m_t m = {NULL, NULL, 0, NULL};
  CHECK(sizeof shape == 3 * sizeof(int32_t) && shape[0] * shape[1] * shape[2] == 16);
  CHECK(m_invoke(&m, a, b, total, real, best) == TINYML_ERROR_NULL);
  CHECK(m_invoke(NULL, a, b, total, real, best) == TINYML_ERROR_NULL);
  CHECK(m_init(NULL, arena, sizeof arena) == TINYML_ERROR_NULL);
  CHECK(m_init(&m, NULL, sizeof arena) == TINYML_ERROR_NULL);
  CHECK(m_init(&m, arena, M_ARENA_BYTES - 1) == TINYML_ERROR_ARENA_SIZE);
  CHECK(m_init(&m, arena + 4, M_ARENA_BYTES) == TINYML_ERROR_ALIGNMENT);
  CHECK(m.arena == NULL);
  CHECK(m_init(&m, arena, M_ARENA_BYTES) == TINYML_OK);
  for (size_t i = 0; i < sizeof a; i++) a[i] = (int8_t)(i * 37);
  for (size_t i = 0; i < sizeof b / sizeof b[0]; i++) b[i] = (float)i * 0.25f - 4.0f;
  CHECK(m_invoke(&m, a, b, total, real, best) == TINYML_OK);
  CHECK(memcmp(total, m_output_0(&m), sizeof total) == 0);
  CHECK(memcmp(real, m_output_1(&m), sizeof real) == 0);
  CHECK(memcmp(best, m_output_2(&m), sizeof best) == 0);
  /* The same in place. */
  memset(arena, 0, sizeof arena);
  memcpy(m_input_0(&m), a, sizeof a);
  memcpy(m_input_1(&m), b, sizeof b);
  CHECK(m_invoke(&m, NULL, m_input_1(&m), NULL, NULL, NULL) == TINYML_OK);
  CHECK(memcmp(total, m_output_0(&m), sizeof total) == 0);
  CHECK(memcmp(real, m_output_1(&m), sizeof real) == 0);
  CHECK(memcmp(best, m_output_2(&m), sizeof best) == 0);
  for (int i = 0; i < 16; i++) CHECK(best[i] == (total[2 * i + 1] > total[2 * i]));
  /* An observer sees every op up to where it says stop. */
  int calls = 0;
  const tinyml_observer observer = {stop_at_1, &calls};
  m.observer = &observer;
  CHECK(m_invoke(&m, a, b, NULL, NULL, NULL) == TINYML_STOPPED);
  CHECK(calls == 2);
  for (size_t i = M_ARENA_BYTES; i < sizeof arena; i++) CHECK(arena[i] == 0);
  CHECK(m_info.input_count == 2 && m_info.output_count == 3 && m_info.op_count == 4);
  CHECK(strcmp(m_info.name, "many ends") == 0 && strlen(m_info.identity) == 64);
  return 0;
}
"""


def test_the_api(tmp_path: Path) -> None:
    project = host_project(plan_of(many_ends()), tmp_path, "m")
    (tmp_path / "own.c").write_text(_API)
    sources = [tmp_path / p for p in project.sources if p.startswith(("src/", "runtime/"))]
    includes = [f"-I{tmp_path / d}" for d in ("src", "runtime/include", "runtime/src")]
    program = tmp_path / "own"
    run_tool("gcc", *STRICT, *SANITIZE, *includes, *sources, tmp_path / "own.c", "-o", program)
    run_tool(program)


@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="ziglang is not installed")
def test_header_is_good_for_cpp(tmp_path: Path) -> None:
    host_project(plan_of(many_ends()), tmp_path, "m")
    own = tmp_path / "own.cpp"
    own.write_text('#include "m.h"\nint main() { return m_info.op_count; }\n')
    run_tool(
        *(sys.executable, "-m", "ziglang", "cc", *load_board("stm32").clang_flags),
        # Zig would build a C++ library first, which the header has no need of.
        *("-x", "c++", "-std=c++11", "-nostdinc++", "-Wall", "-Wextra", "-Wpedantic", "-Werror"),
        *(f"-I{tmp_path}/src", f"-I{tmp_path}/runtime/include"),
        *("-c", own, "-o", tmp_path / "own.o"),
    )


def refused(project: Project, file: str) -> str:
    root = project.root
    includes = [f"-I{root / d}" for d in ("src", "runtime/include", "runtime/src")]
    done = subprocess.run(
        ["gcc", *STRICT, *includes, "-c", root / file, "-o", root / "o.o"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    return done.stderr


def test_another_runtime_is_refused(tmp_path: Path) -> None:
    project = host_project(plan_of(small()), tmp_path, "net")
    runtime = tmp_path / "runtime/include/tinyml.h"
    text = runtime.read_text()
    changed = re.sub(r"(#define TINYML_RUNTIME_VERSION) \d+", r"\1 9999", text)
    assert changed != text
    runtime.write_text(changed)
    assert "runtime has another version" in refused(project, "src/net.c")


def with_scratch() -> Graph:
    b = GraphBuilder("scratch")
    x = b.input((1, 4, 4, 8), name="x")
    return b.graph(b.node(ops.Mean(axes=(1, 2)), (x,), b.quant()))


def test_a_wrong_plan_does_not_compile(tmp_path: Path) -> None:
    plan = plan_of(with_scratch())
    ((name, call),) = plan.calls.items()
    assert call.scratch_macro
    less = replace(plan, calls={name: replace(call, scratch_bytes=call.scratch_bytes - 1)})
    message = refused(host_project(less, tmp_path / "a", "net"), "src/net.c")
    assert re.search(r"TINYML_STATIC_ASSERT\(TINYML_MEAN_HW_S8_SCRATCH\(8\) <= \d+,", message)
    small_arena = replace(plan.memory, arena_bytes=plan.memory.arena_bytes - 8)
    short = replace(plan, memory=small_arena)
    message = refused(host_project(short, tmp_path / "b", "net"), "src/net.c")
    assert re.search(r"TINYML_STATIC_ASSERT\(\d+ <= NET_ARENA_BYTES,", message)


def test_an_alias_elsewhere_is_a_planning_error(tmp_path: Path) -> None:
    b = GraphBuilder("alias")
    x = b.input((1, 4, 4, 2), name="x")
    x = b.node(ops.Relu(), (x,), output="y")
    graph = b.graph(b.node(ops.Reshape((1, 32)), (x,), output="z"))
    plan = plan_of(graph)
    moved = tuple(
        replace(buffer, tensors=tuple(t for t in buffer.tensors if t != "z"))
        for buffer in plan.memory.buffers
    )
    extra = replace(moved[0], name="z", tensors=("z",))
    memory = replace(
        plan.memory, buffers=(*moved, extra), offsets={**plan.memory.offsets, "z": 4096}
    )
    with pytest.raises(PlanError, match="'z' a view of 'y'"):
        host_project(replace(plan, memory=memory), tmp_path)


def test_a_constant_output_is_refused(tmp_path: Path) -> None:
    graph = small()
    weights = next(n for n, t in graph.tensors.items() if t.is_const)
    wrong = replace(graph, outputs=(*graph.outputs, weights))
    with pytest.raises(UnsupportedError, match="is a constant"):
        host_project(replace(plan_of(graph), graph=wrong), tmp_path)


def test_a_model_without_ops_is_refused(tmp_path: Path) -> None:
    b = GraphBuilder("nothing")
    with pytest.raises(UnsupportedError, match="computes nothing"):
        host_project(plan_of(b.graph(b.input((1, 4), name="x"))), tmp_path)
