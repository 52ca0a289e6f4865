"""The whole flow on one page: model file -> plan -> project -> firmware -> proof.

Each function is one step of the command line and of the Python API. What
travels between them is data: a `Graph`, a `Plan`, a `Project`, a `Firmware`,
and for people and scripts the reports of `tinyml.results`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from tinyml import convert as conversion
from tinyml import describe, importers, toolchain
from tinyml import evaluate as evaluation
from tinyml.board import list_boards, load_board
from tinyml.choose import choose
from tinyml.compare import code_choices
from tinyml.convert import CONVERTED, ConvertOptions
from tinyml.doctor import diagnose
from tinyml.emit import emit, open_project
from tinyml.errors import PlanError
from tinyml.evaluate import EvaluateOptions
from tinyml.ir.graph import Array
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
    Inspection,
    PlanReport,
    ProfileReport,
    RunReport,
    VerifyReport,
)
from tinyml.verify import deployed_graph, run_project, verify_project, with_io


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
    recorded = options.to_json()
    if convert is None:
        graph = importers.load(model)
        source = model.read_bytes()
    else:
        recorded[CONVERTED] = conversion.fingerprint(model, convert)
        found = conversion.reusable(folder, recorded[CONVERTED])
        source = conversion.converted_bytes(model, convert)[0] if found is None else found
        graph = importers.tflite.read(source, model.stem)
    graph = with_io(graph, options.deployed_io)
    project = emit(
        choose(graph, target, options).taken.plan, target, folder, source=source, options=recorded
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
