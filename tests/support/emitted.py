"""Generated models, many in one program, compiled for this machine with sanitizers and run."""

import os
import struct
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tinyml.board import Board, load_board
from tinyml.emit import Project, emit
from tinyml.emit.pieces import Piece, input_pieces, output_pieces
from tinyml.ir.graph import Array, Graph, Tensor
from tinyml.kernels import bind
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.passes import optimize
from tinyml.planning import Plan
from tinyml.schedule.order import layer_schedule, reordered
from tinyml.schedule.schedule import Feed

STRICT = (
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Wpedantic",
    "-Werror",
)
SANITIZE = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

_HARNESS = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tinyml.h"

{declarations}

static const tinyml_model_info *const models[] = {{{infos}}};

static int print(void *user, uint16_t op, uint16_t output, const void *data, size_t bytes) {{
  const uint32_t header[3] = {{op, output, (uint32_t)bytes}};
  (void)user;
  return fwrite(header, sizeof header, 1, stdout) != 1 || fwrite(data, 1, bytes, stdout) != bytes;
}}

static int push_rows(const tinyml_model_info *info, tinyml_model *model) {{
  uint8_t *row = malloc(info->row_bytes);
  tinyml_status status = TINYML_MORE;
  uint32_t left = info->inputs[0].bytes;
  if (row == NULL) return 1;
  for (; left > 0 && status == TINYML_MORE; left -= info->row_bytes) {{
    if (fread(row, 1, info->row_bytes, stdin) != info->row_bytes) return 1;
    status = info->push_row(model, row);
  }}
  free(row);
  return left != 0 || status != TINYML_OK;
}}

/* As much of a piece as is asked for, from the input on its own in memory. */
static int read_piece(void *user, int32_t y, int32_t x, int32_t width, void *to) {{
  const tinyml_model_info *info = ((void **)user)[0];
  const uint8_t *input = ((void **)user)[1];
  const size_t at = info->row_bytes * (size_t)y + info->pixel_bytes * (size_t)x;
  const size_t bytes = info->pixel_bytes * (size_t)width;
  if (y < 0 || x < 0 || width < 1 || at + bytes > info->inputs[0].bytes ||
      info->pixel_bytes * (size_t)(x + width) > info->row_bytes) return 1;
  memcpy(to, input + at, bytes);
  return print(NULL, (uint16_t)(info->op_count + 1), 0, input + at, bytes);
}}

static int pull(const tinyml_model_info *info, tinyml_model *model) {{
  uint8_t *input = malloc(info->inputs[0].bytes);
  void *user[2] = {{(void *)(uintptr_t)info, input}};
  if (input == NULL || fread(input, 1, info->inputs[0].bytes, stdin) != info->inputs[0].bytes) {{
    return 1;
  }}
  const tinyml_status status = info->pull(model, read_piece, user);
  free(input);
  return status != TINYML_OK;
}}

int main(int count, char **arguments) {{
  if (count != 3) return 2;
  const tinyml_model_info *info = models[atoi(arguments[1])];
  int runs = atoi(arguments[2]);
  /* Arenas end where the allocation ends, so that the sanitizer sees a byte too far. */
  const uint32_t first = info->arena_bytes - info->more_bytes;
  uint8_t *arena = malloc(first);
  uint8_t *more = malloc(info->more_bytes);
  if (arena == NULL || (more == NULL && info->more_bytes > 0)) return 2;
  const tinyml_observer observer = {{print, NULL}};
  tinyml_model model = {{arena, &observer, 0, more}};
  while (runs-- > 0) {{
    memset(arena, 0xa5, first);
    memset(more, 0xa5, info->more_bytes);
    if (info->reset != NULL && info->reset(&model) != TINYML_OK) return 3;
    if (info->pull != NULL) {{
      if (pull(info, &model)) return 3;
    }} else if (info->row_bytes > 0) {{
      if (push_rows(info, &model)) return 3;
    }} else for (int i = 0; i < info->input_count; i++) {{
      const uint32_t at = info->inputs[i].offset;
      uint8_t *const place = at < first ? arena + at : more + (at - first);
      if (fread(place, 1, info->inputs[i].bytes, stdin) != info->inputs[i].bytes) return 2;
    }}
    if (info->row_bytes == 0 && info->invoke(&model) != TINYML_OK) return 3;
    for (int i = 0; i < info->output_count; i++) {{
      const uint32_t at = info->outputs[i].offset;
      uint8_t *const place = at < first ? arena + at : more + (at - first);
      print(NULL, info->op_count, (uint16_t)i, place, info->outputs[i].bytes);
    }}
  }}
  free(arena);
  free(more);
  return 0;
}}
"""

_T = TypeVar("_T")


def collect(strategy: st.SearchStrategy[_T], count: int) -> list[_T]:
    """`count` draws, the same in every run, for tests that cannot afford a program for each."""
    found: list[_T] = []

    @settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=count,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def gather(value: _T) -> None:
        found.append(value)

    gather()
    return found


def plan_of(
    graph: Graph, board: Board | None = None, *, among: frozenset[str] = frozenset()
) -> Plan:
    """The plan of an optimised graph; `among` is as for `bind`."""
    isa = board.isa if board else ("portable",)
    calls = {node.name: bind(graph, node, isa, among=among) for node in graph.nodes}
    schedule = layer_schedule(graph, calls)
    graph = reordered(graph, schedule)
    memory = plan_memory(graph, schedule, calls)
    check_plan(graph, schedule, calls, memory)
    return Plan(graph, calls, schedule, memory)


Planner = Callable[[Graph], Plan]


def run_tool(*command: str | Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Runs a program that must succeed, and shows what it said when it does not."""
    done = subprocess.run(
        [str(c) for c in command],
        capture_output=True,
        timeout=300,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, f"{command}: {done.stderr.decode(errors='replace')[:4000]}"
    return done


class Models:
    """Several models in one program."""

    def __init__(
        self,
        graphs: Sequence[Graph],
        folder: Path,
        *,
        optimized: bool = True,
        planner: Planner = plan_of,
        sanitize: Sequence[str] = SANITIZE,
    ) -> None:
        self.sanitize = sanitize
        self.plans = [planner(optimize(g) if optimized else g) for g in graphs]
        self.projects = [
            emit(plan, load_board("host"), folder / f"m{i}", source=b"model", name=f"m{i}")
            for i, plan in enumerate(self.plans)
        ]
        self.program = folder / "program"
        self._build(folder)

    def _build(self, folder: Path) -> None:
        count = len(self.projects)
        harness = folder / "harness.c"
        harness.write_text(
            _HARNESS.format(
                declarations="\n".join(
                    f"extern const tinyml_model_info m{i}_info;" for i in range(count)
                ),
                infos=", ".join(f"&m{i}_info" for i in range(count)),
            )
        )
        sources = {Path("harness.c"): harness}
        runtime: dict[str, Path] = {}
        for project in self.projects:
            for path in project.sources:
                if path.startswith("src/"):
                    sources[Path(project.root.name) / path] = project.root / path
                elif path.startswith("runtime/"):
                    runtime.setdefault(path, project.root / path)
        sources |= {Path(path): source for path, source in runtime.items()}

        def compile_one(item: tuple[Path, Path]) -> Path:
            name, source = item
            result = folder / (str(name).replace("/", "-") + ".o")
            root = self.projects[0].root if source == harness else _project_root(source)
            # Relative paths, so that a cache of objects knows a file of the runtime again.
            includes = [f"-I{d}" for d in ("src", "runtime/include", "runtime/src")]
            named = os.path.relpath(source, root)
            command = ("gcc", *STRICT, *self.sanitize, *includes, "-c", named, "-o", result)
            run_tool(*command, cwd=root)
            return result

        with ThreadPoolExecutor(2) as pool:
            objects = list(pool.map(compile_one, sorted(sources.items())))
        run_tool("gcc", *self.sanitize, *objects, "-pthread", "-o", self.program)

    def run(self, index: int, inputs: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
        """What model `index` computes for each of `inputs`, none of it in a patch.

        By tensor name; the model's outputs, as they are in the end, by "output:name".
        """
        results = []
        for pieces in self.observed(index, inputs):
            found = {}
            for key, (tensor, data) in pieces.items():
                flat = np.frombuffer(data, tensor.dtype.numpy)
                found[key] = flat.reshape(tensor.shape)
            results.append(found)
        return results

    def observed(
        self, index: int, inputs: Sequence[Mapping[str, Array]]
    ) -> list[dict[str, tuple[Tensor, bytes]]]:
        """For each of `inputs`, all that the observer is told of, by the same keys.

        Pieces of a tensor one after the other; also what is read of an input that is pulled.
        """
        plan, manifest = self.plans[index], self.projects[index].manifest
        graph = plan.graph
        data = b"".join(np.asarray(x[name]).tobytes() for x in inputs for name in graph.inputs)
        out = run_tool(self.program, str(index), str(len(inputs)), input=data).stdout
        pieces = _pieces(out)
        last = len(manifest.ops)
        expected = {
            (name, op, i): output_pieces(manifest, op, i)
            for op, entry in enumerate(manifest.ops)
            for i, name in enumerate(t.name for t in entry.outputs)
        }
        for i, name in enumerate(graph.outputs):
            expected[f"output:{name}", last, i] = [Piece(0, graph.tensors[name].nbytes, 0)]
        if plan.schedule.feed is Feed.PULL:
            expected[graph.inputs[0], last + 1, 0] = input_pieces(manifest)
        results = []
        for _ in inputs:
            found = {}
            for (key, op, i), each in expected.items():
                got = [pieces[op, i].pop(0) for _ in each]
                assert [len(piece) for piece in got] == [piece.bytes for piece in each], key
                found[key] = graph.tensors[key.removeprefix("output:")], b"".join(got)
            results.append(found)
        assert not any(pieces.values()), "more than expected"
        return results


def _pieces(out: bytes) -> dict[tuple[int, int], list[bytes]]:
    """What a program printed, by op and output."""
    found: dict[tuple[int, int], list[bytes]] = {}
    while out:
        op, output, size = struct.unpack_from("<III", out)
        found.setdefault((op, output), []).append(out[12 : 12 + size])
        out = out[12 + size :]
    return found


def _project_root(source: Path) -> Path:
    return next(p for p in source.parents if (p / "manifest.json").is_file())


__all__ = ["SANITIZE", "STRICT", "Models", "Project", "collect", "plan_of", "run_tool"]
