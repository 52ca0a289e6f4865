"""The whole flow on one page: model file -> plan -> project -> firmware -> proof.

Each function is one step of the command line and of the Python API. What
travels between them is data: a `Graph`, a `Plan`, a `Project`, a `Firmware`,
and for people and scripts the reports of `tinyml.results`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tinyml import describe, importers, memory, passes, toolchain
from tinyml.board import Board, list_boards, load_board
from tinyml.doctor import diagnose
from tinyml.emit import emit, open_project
from tinyml.emit.fit import check_fit
from tinyml.emit.view import model_view
from tinyml.errors import PlanError
from tinyml.ir.graph import Array, Graph
from tinyml.kernels import bind
from tinyml.kernels.call import KernelCall
from tinyml.link import Progress
from tinyml.memory.check import check_plan
from tinyml.planning import Plan
from tinyml.profile import profile_project
from tinyml.results import (
    BoardList,
    BuildReport,
    DoctorReport,
    Inspection,
    PlanReport,
    ProfileReport,
    RunReport,
    VerifyReport,
)
from tinyml.schedule.order import layer_schedule, reordered
from tinyml.schedule.schedule import Feed, Schedule
from tinyml.schedule.search import best_schedule, calls_of, stream_schedule
from tinyml.verify import deployed_graph, run_project, verify_project

SCHEDULES = ("auto", "layer", "stream")
FEEDS = ("whole", "rows")
IOS = ("model", "int8")


def inspect(model: Path) -> Inspection:
    """What is in a model file."""
    return describe.inspection(model, importers.load(model))


def make_plan(
    graph: Graph,
    board: Board,
    *,
    sram: int | None = None,
    schedule: str = "auto",
    feed: str = "whole",
) -> Plan:
    """Optimise `graph`, choose kernels and schedule, place every buffer; proven by the checker.

    `schedule` is "layer" (one operator after the other), "stream" (rows through ring
    buffers wherever that can be) or "auto": whatever needs the smallest arena. `feed` is
    "whole" (the input lies in the arena) or "rows" (the application hands it over row by
    row, and only some of its rows are stored; PlanError where the model does not allow it).
    `sram` limits the arena, in bytes. Raises PlanError, with the least that is
    needed, when that or the board's memory is too small.
    """
    graph = passes.optimize(graph)
    layer_calls = {node.name: bind(graph, node, board.isa) for node in graph.nodes}
    row_calls = {node.name: bind(graph, node, board.isa, flatten=False) for node in graph.nodes}
    candidates: list[Schedule] = []
    fed = feed == "rows"
    if fed and schedule == "layer":
        raise PlanError(
            "layer by layer, the first operator needs the whole input",
            hint="--feed rows goes with --schedule auto or stream",
        )
    if schedule in ("auto", "layer") and not fed:
        candidates.append(layer_schedule(graph, layer_calls))
    if schedule == "auto":
        candidates.append(best_schedule(graph, layer_calls, row_calls, feed=Feed(feed)))
    if schedule == "stream":
        candidates.append(stream_schedule(graph, layer_calls, row_calls, feed=Feed(feed)))
    plans = [_placed(graph, each, calls_of(each, layer_calls, row_calls)) for each in candidates]
    made = min(plans, key=lambda plan: plan.memory.arena_bytes)
    least = made.memory.arena_bytes
    if sram is not None and least > sram:
        raise PlanError(
            f"model '{graph.name}' needs an arena of at least {least:,} bytes, "
            f"--sram allows {sram:,}",
            hint=f"give --sram {least} or more, or take a model with smaller maps",
        )
    check_fit(made, model_view(made), board)
    return made


def _placed(graph: Graph, schedule: Schedule, calls: Mapping[str, KernelCall]) -> Plan:
    """The plan of one schedule, checked."""
    graph = reordered(graph, schedule)
    placed = memory.plan_memory(graph, schedule, calls)
    check_plan(graph, schedule, calls, placed)
    return Plan(graph, calls, schedule, placed, "rows" if schedule.fed else "whole")


def plan(
    model: Path,
    board: str,
    *,
    sram: int | None = None,
    schedule: str = "auto",
    feed: str = "whole",
    io: str = "model",
) -> PlanReport:
    """Where every buffer lies and what each layer needs; options as for `build`."""
    io = _checked_io(schedule, feed, io)
    target, graph = load_board(board), deployed_graph(model, io)
    model_macs = sum(graph.macs(node) for node in graph.nodes)
    made = make_plan(graph, target, sram=sram, schedule=schedule, feed=feed)
    return describe.plan_report(model, target, made, model_macs)


def build(
    model: Path,
    board: str,
    out: Path | None = None,
    *,
    sram: int | None = None,
    schedule: str = "auto",
    feed: str = "whole",
    io: str = "model",
    compiler: str = "auto",
) -> BuildReport:
    """Generate the project in `out` (default: MODEL-BOARD, here) and compile it.

    `io` is "model", for inputs and outputs as the model has them, or "int8", for
    int8 in place of float32, which a `feed` of "rows" implies. For `sram`, `schedule` and
    `feed` see `make_plan`.
    """
    io = _checked_io(schedule, feed, io)
    target, graph = load_board(board), deployed_graph(model, io)
    project = emit(
        make_plan(graph, target, sram=sram, schedule=schedule, feed=feed),
        target,
        Path(f"{model.stem}-{board}") if out is None else out,
        source=model.read_bytes(),
        options={"schedule": schedule, "feed": feed, "io": io, "sram": sram},
    )
    return describe.build_report(toolchain.build(project, compiler))


def verify(
    project: Path,
    *,
    port: str | None = None,
    inputs: int = 10,
    seed: int = 0,
    samples: Sequence[Sequence[Array]] | None = None,
    labels: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Run the firmware and compare every byte with the reference.

    The inputs are `samples` (per sample one array for each input), or `inputs`
    drawn with `seed`. With `labels` the report has the target's accuracy.
    """
    return verify_project(
        open_project(project),
        port=port,
        count=inputs,
        seed=seed,
        samples=samples,
        labels=labels,
        progress=progress,
    )


def profile(
    project: Path, *, port: str | None = None, progress: Progress | None = None
) -> ProfileReport:
    """What each layer costs on the target, and the memory it touches."""
    return profile_project(open_project(project), port=port, progress=progress)


def run(
    project: Path,
    inputs: Sequence[Array],
    *,
    port: str | None = None,
    progress: Progress | None = None,
) -> RunReport:
    """One inference on the target; `inputs` has an array for each input of the model."""
    return run_project(open_project(project), inputs, port=port, progress=progress)


def boards() -> BoardList:
    """All boards."""
    return BoardList(tuple(describe.board_info(load_board(name)) for name in list_boards()))


def doctor() -> DoctorReport:
    """Whether this machine has what tinyml needs."""
    return diagnose()


def _checked_io(schedule: str, feed: str, io: str) -> str:
    """`io`, or what `feed` makes of it; PlanError for an option that there is not."""
    options = (("schedule", schedule, SCHEDULES), ("feed", feed, FEEDS), ("io", io, IOS))
    for option, given, known in options:
        if given not in known:
            raise PlanError(
                f"--{option} {given} is not known to this version",
                hint=f"one of {', '.join(known)}",
            )
    return "int8" if feed == "rows" else io
