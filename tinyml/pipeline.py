"""The whole flow on one page: model file -> plan -> project -> firmware -> proof.

Each function is one step of the command line and of the Python API. What
travels between them is data: a `Graph`, a `Plan`, a `Project`, a `Firmware`,
and for people and scripts the reports of `tinyml.results`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from tinyml import convert as conversion
from tinyml import describe, importers, toolchain
from tinyml import evaluate as evaluation
from tinyml.board import list_boards, load_board
from tinyml.choose import choose
from tinyml.compare import code_choices
from tinyml.convert import CONVERTED, ConvertOptions
from tinyml.doctor import diagnose
from tinyml.emit import emit, open_project
from tinyml.emit.project import Project
from tinyml.errors import PlanError
from tinyml.evaluate import EvaluateOptions
from tinyml.flash import flash_project
from tinyml.ir.graph import Array, Graph
from tinyml.link import Progress
from tinyml.options import OptionArguments, PlanOptions
from tinyml.picture import plan_picture
from tinyml.profile import profile_project
from tinyml.results import (
    BoardList,
    BuildReport,
    ConvertReport,
    DoctorReport,
    EvaluateReport,
    FlashReport,
    Inspection,
    PlanReport,
    ProfileReport,
    RunReport,
    VerifyReport,
)
from tinyml.runners.usb import Ask
from tinyml.train.target.build import emit_training, plan_report
from tinyml.train.target.plan import plan_training
from tinyml.train.target.request import TrainRequest
from tinyml.train.target.results import TrainPlanReport, TrainProfileReport, TrainVerifyReport
from tinyml.train.target.verify import profile_training, verify_training
from tinyml.verify import deployed_graph, run_project, verify_project, with_io

LEARNING_IO = "int8"
"""What goes in and comes out of a model that learns on a target."""


def inspect(model: Path) -> Inspection:
    """What is in a model file."""
    return describe.inspection(model, importers.load(model))


def convert(
    model: Path, out: Path, options: ConvertOptions, *, float_out: Path | None = None
) -> ConvertReport:
    """A Keras, SavedModel, ONNX, PyTorch or float .tflite model as a full-int8 .tflite file.

    With `float_out`, the float .tflite file that it was made from is written, too.
    """
    return conversion.convert(model, out, options, float_out=float_out)


def plan(
    model: Path,
    board: str,
    *,
    html: Path | None = None,
    compare: bool = False,
    **arguments: Unpack[OptionArguments],
) -> PlanReport:
    """Where every buffer lies and what each layer needs; with `html`, drawn on a page, too.

    With `compare`, also what code made for speed and for size costs, for which both are built.
    For the other keywords see `PlanOptions`.
    """
    options = PlanOptions(**arguments)
    target, graph = load_board(board), deployed_graph(model, options.deployed_io)
    choice = choose(graph, target, options)
    choices = code_choices(choice.taken.plan, target, options.optimize) if compare else ()
    report = describe.plan_report(model, target, graph, choice, choices)
    if html is not None:
        _write(html, plan_picture(choice.taken.plan, report))
    return report


def build(
    model: Path,
    board: str,
    out: Path | None = None,
    *,
    compiler: str = "auto",
    convert: ConvertOptions | None = None,
    **arguments: Unpack[OptionArguments],
) -> BuildReport:
    """Generate the project in `out` (default: MODEL-BOARD, here) and compile it.

    With `convert`, the model is converted first, unless the project in `out` was made from
    the same model, samples and packages. For the other keywords see `PlanOptions`.
    """
    options, target = PlanOptions(**arguments), load_board(board)
    folder = Path(f"{model.stem}-{board}") if out is None else out
    graph, source, converted = _imported(model, convert, folder)
    graph = with_io(graph, options.deployed_io)
    recorded = {**options.to_json(), **converted}
    project = emit(
        choose(graph, target, options).taken.plan, target, folder, source=source, options=recorded
    )
    return _compiled(project, compiler)


def _imported(
    model: Path, convert: ConvertOptions | None, folder: Path
) -> tuple[Graph, bytes, dict[str, Any]]:
    """The graph, the .tflite file that it is in, and what the manifest records of a conversion."""
    if convert is None:
        return importers.load(model), model.read_bytes(), {}
    fingerprint = conversion.fingerprint(model, convert)
    source = conversion.reusable(folder, fingerprint)
    if source is None:
        source = conversion.converted_bytes(model, convert)[0]
    return importers.tflite.read(source, model.stem), source, {CONVERTED: fingerprint}


def _compiled(project: Project, compiler: str) -> BuildReport:
    firmware = toolchain.build(project, compiler)
    if project.board.is_process:
        toolchain.build_library(project, compiler)
    return describe.build_report(firmware)


def plan_learning(
    model: Path, board: str, request: TrainRequest, **arguments: Unpack[OptionArguments]
) -> TrainPlanReport:
    """What a training step needs, call by call, and what asking otherwise would.

    `sram` is for all that training needs; for the other keywords see `PlanOptions`.
    """
    target, graph = load_board(board), deployed_graph(model, LEARNING_IO)
    found = plan_training(graph, target, request, PlanOptions(**arguments))
    return plan_report(model, target, graph, found)


def build_learning(
    model: Path,
    board: str,
    request: TrainRequest,
    out: Path | None = None,
    *,
    compiler: str = "auto",
    convert: ConvertOptions | None = None,
    **arguments: Unpack[OptionArguments],
) -> BuildReport:
    """As `build`, of a model that learns on the board."""
    options, target = PlanOptions(**arguments), load_board(board)
    folder = Path(f"{model.stem}-{board}") if out is None else out
    graph, source, converted = _imported(model, convert, folder)
    found = plan_training(with_io(graph, LEARNING_IO), target, request, options)
    recorded = {**options.to_json(), **converted, "io": LEARNING_IO}
    return _compiled(
        emit_training(found, target, folder, source=source, options=recorded), compiler
    )


def verify_learning(
    project: Path,
    *,
    steps: int,
    port: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> TrainVerifyReport:
    """Train the firmware and the reference on the same samples, and compare every byte."""
    return verify_training(
        open_project(project), port=port, steps=steps, seed=seed, progress=progress
    )


def profile_learning(
    project: Path, *, port: str | None = None, progress: Progress | None = None
) -> TrainProfileReport:
    """What each call of a training step costs on the target, and the memory it touches."""
    return profile_training(open_project(project), port=port, progress=progress)


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


def evaluate(
    model: Path,
    options: EvaluateOptions,
    *,
    board: str | None = None,
    progress: Progress | None = None,
) -> EvaluateReport:
    """Accuracy or error of a quantised model, of its float model, and of a firmware.

    With `board`, a firmware is built for it and thrown away.
    """

    def firmware(folder: Path) -> None:
        build(model, board or "", folder)

    return evaluation.evaluate(model, options, build=firmware if board else None, progress=progress)


def profile(
    project: Path,
    *,
    port: str | None = None,
    cycles: bool = False,
    progress: Progress | None = None,
) -> ProfileReport:
    """What each layer costs on the target, and the memory it touches.

    With `cycles`, also an estimate of the cycles that an emulated core would take.
    """
    return profile_project(open_project(project), port=port, cycles=cycles, progress=progress)


def run(
    project: Path,
    inputs: Sequence[Array],
    *,
    port: str | None = None,
    progress: Progress | None = None,
) -> RunReport:
    """One inference on the target; `inputs` has an array for each input of the model."""
    return run_project(open_project(project), inputs, port=port, progress=progress)


def flash(
    project: Path,
    *,
    port: str | None = None,
    tool: str | None = None,
    dry_run: bool = False,
    ask: Ask | None = None,
) -> FlashReport:
    """Put the firmware on its board; for the keywords see `flash_project`."""
    return flash_project(open_project(project), port=port, tool=tool, dry_run=dry_run, ask=ask)


def boards() -> BoardList:
    """All boards."""
    return BoardList(tuple(describe.board_info(load_board(name)) for name in list_boards()))


def doctor() -> DoctorReport:
    """Whether this machine has what tinyml needs."""
    return diagnose()


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PlanError(
            f"cannot write '{path}': {error.strerror or error}", hint="name another file"
        ) from error
