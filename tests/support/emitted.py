"""Generated models, many in one program, compiled for this machine with sanitizers and run."""

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
from tinyml.ir.graph import Array, Graph, Node
from tinyml.kernels import bind
from tinyml.memory import plan_memory
from tinyml.memory.check import check_plan
from tinyml.passes import optimize
from tinyml.planning import Plan
from tinyml.schedule.order import layer_schedule, reordered

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

int main(int count, char **arguments) {{
  if (count != 3) return 2;
  const tinyml_model_info *info = models[atoi(arguments[1])];
  int runs = atoi(arguments[2]);
  /* The arena ends where the allocation ends, so that the sanitizer sees a byte too far. */
  uint8_t *arena = malloc(info->arena_bytes);
  if (arena == NULL) return 2;
  const tinyml_observer observer = {{print, NULL}};
  tinyml_model model = {{arena, &observer, 0}};
  while (runs-- > 0) {{
    memset(arena, 0xa5, info->arena_bytes);
    if (info->row_bytes > 0) {{
      if (push_rows(info, &model)) return 3;
    }} else for (int i = 0; i < info->input_count; i++) {{
      if (fread(arena + info->inputs[i].offset, 1, info->inputs[i].bytes, stdin) !=
          info->inputs[i].bytes) return 2;
    }}
    if (info->row_bytes == 0 && info->invoke(&model) != TINYML_OK) return 3;
    for (int i = 0; i < info->output_count; i++) {{
      print(NULL, info->op_count, (uint16_t)i, arena + info->outputs[i].offset,
            info->outputs[i].bytes);
    }}
  }}
  free(arena);
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


def plan_of(graph: Graph, board: Board | None = None) -> Plan:
    """The plan of an optimised graph."""
    isa = board.isa if board else ("portable",)
    calls = {node.name: bind(graph, node, isa) for node in graph.nodes}
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
    ) -> None:
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
            includes = [f"-I{root / d}" for d in ("src", "runtime/include", "runtime/src")]
            run_tool("gcc", *STRICT, *SANITIZE, *includes, "-c", source, "-o", result)
            return result

        with ThreadPoolExecutor(2) as pool:
            objects = list(pool.map(compile_one, sorted(sources.items())))
        run_tool("gcc", *SANITIZE, *objects, "-o", self.program)

    def run(self, index: int, inputs: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
        """What model `index` computes for each of `inputs`.

        By tensor name; the model's outputs, as they are in the end, by "output:name".
        """
        plan = self.plans[index]
        graph = plan.graph
        data = b"".join(np.asarray(x[name]).tobytes() for x in inputs for name in graph.inputs)
        out = run_tool(self.program, str(index), str(len(inputs)), input=data).stdout
        results, pieces = [], _pieces(out)
        for _ in inputs:
            found = {}
            for key, name, op, output in _reported(plan):
                tensor = graph.tensors[name]
                flat = np.frombuffer(_joined(pieces, op, output, tensor.nbytes), tensor.dtype.numpy)
                found[key] = flat.reshape(tensor.shape)
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


def _joined(pieces: dict[tuple[int, int], list[bytes]], op: int, output: int, size: int) -> bytes:
    """Takes as many pieces as make up `size` bytes."""
    waiting, data = pieces[op, output], b""
    while len(data) < size:
        data += waiting.pop(0)
    assert len(data) == size, f"op {op}: {len(data)} bytes, not {size}"
    return data


def _reported(plan: Plan) -> list[tuple[str, str, int, int]]:
    """Key, tensor, op and output of all that is printed; the model's outputs as one op more."""
    nodes: Mapping[str, Node] = {node.name: node for node in plan.graph.nodes}
    computed = [
        (t, t, op, i)
        for op, n in enumerate(plan.schedule.order)
        for i, t in enumerate(nodes[n].outputs)
    ]
    last = len(plan.schedule.order)
    return computed + [(f"output:{t}", t, last, i) for i, t in enumerate(plan.graph.outputs)]


def _project_root(source: Path) -> Path:
    return next(p for p in source.parents if (p / "manifest.json").is_file())


__all__ = ["SANITIZE", "STRICT", "Models", "Project", "collect", "plan_of", "run_tool"]
