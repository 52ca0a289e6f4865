"""The command line: arguments in, reports and exit statuses out.

Every command calls one function of `tinyml.pipeline` and prints its result.
With `--json` standard output holds exactly one JSON object (a result, or
`{"error": {...}}`); everything else goes to standard error.

Exit status: 0 done, 1 a check failed, 2 bad input or no plan fits, 3 a tool is
missing, 70 a bug in tinyml, 130 interrupted.
"""

import json
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import numpy as np
import typer

from tinyml import __version__, pipeline, report, report_quality, report_training
from tinyml.cli_options import (
    Batch,
    BoardName,
    Classes,
    Feed,
    Filter,
    Io,
    Json,
    Limit,
    Loss,
    MacsLimit,
    Model,
    Optimize,
    Optimizer,
    Patches,
    PatchOps,
    Pixels,
    Port,
    Precision,
    Project,
    Schedule,
    Sram,
    Threads,
    Train,
    Update,
)
from tinyml.cli_show import ERRORS, show
from tinyml.cli_zoo import zoo_app
from tinyml.convert import ConvertOptions
from tinyml.errors import (
    CheckFailedError,
    ConvertError,
    MissingToolError,
    ModelError,
    PlanError,
    TinymlError,
    UnsupportedError,
)
from tinyml.evaluate import EvaluateOptions
from tinyml.options import OptionArguments, parse_patches
from tinyml.train.target.request import TrainRequest

EXIT_BUG: Final = 70
EXIT_INTERRUPTED: Final = 130
DEBUG_VARIABLE: Final = "TINYML_DEBUG"

app = typer.Typer(
    name="tinyml",
    help="Neural networks on microcontrollers: plan, build, run and verify int8 firmware.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(zoo_app)


@app.command()
def inspect(model: Model, as_json: Json = False) -> None:
    """Show what is in a model file: operators, shapes, MACs, weights."""
    show(pipeline.inspect(model), report.inspection, as_json)


@app.command()
def convert(
    model: Annotated[
        Path,
        typer.Argument(
            help="A .keras, .h5, .onnx, .pt2 or float .tflite file, or a SavedModel folder.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            help="Samples of the inputs: an .npz, an .npy, or a folder of .npy files or images.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The file to write.", show_default="MODEL.tflite, here"),
    ] = None,
    pixels: Pixels = None,
    limit: Limit = None,
    int16x8: Annotated[
        bool, typer.Option("--int16x8", help="int16 activations, in place of int8.")
    ] = False,
    equalize: Annotated[
        bool,
        typer.Option("--equalize", help="Even out the weights of a Keras model, correct biases."),
    ] = False,
    float_out: Annotated[
        Path | None,
        typer.Option("--float", metavar="FILE", help="Write the float .tflite file, too."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Quantise a Keras, ONNX or PyTorch model to a full-int8 .tflite file."""
    options = ConvertOptions(data, pixels, limit, int16x8, equalize)
    target = _tflite_beside(model) if out is None else out
    with report.waiting(ERRORS, f"converting {model.name}"):
        result = pipeline.convert(model, target, options, float_out=float_out)
    show(result, report.conversion, as_json)


@app.command()
def plan(
    model: Model,
    board: BoardName,
    sram: Sram = None,
    macs_limit: MacsLimit = None,
    schedule: Schedule = "auto",
    patches: Patches = None,
    patch_ops: PatchOps = None,
    feed: Feed = "whole",
    io: Io = "model",
    train: Train = None,
    filter_: Filter = "1",
    update: Update = "full",
    optimizer: Optimizer = "sgd",
    precision: Precision = "int8",
    batch: Batch = 1,
    loss: Loss = "cross-entropy",
    classes: Classes = None,
    optimize: Optimize = "speed",
    threads: Threads = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Draw the plan on a page of its own, too.")
    ] = None,
    compare: Annotated[
        bool, typer.Option(help="Build code for speed and for size aside, and show what both cost.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Place every buffer, and show the memory each layer (or each step of training) needs."""
    request = _request(train, filter_, optimizer, update, precision, batch, loss, classes)
    options = OptionArguments(
        sram=sram,
        macs_limit=macs_limit,
        schedule=schedule,
        patches=None if patches is None else parse_patches(patches),
        patch_ops=patch_ops,
        feed=feed,
        io=io,
        optimize=optimize,
        threads=threads,
    )
    if request is None:
        result = pipeline.plan(model, board, html=html, compare=compare, **options)
        show(result, report.plan, as_json)
    elif html is not None:
        raise PlanError("--html does not draw training", hint="leave it out, or leave out --train")
    else:
        learning = pipeline.plan_learning(model, board, request, **options)
        show(learning, report_training.plan, as_json)


@app.command()
def build(
    model: Annotated[
        Path,
        typer.Argument(
            help="A full-int8 .tflite file; with --data, what `tinyml convert` takes.",
            show_default=False,
        ),
    ],
    board: BoardName,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where the project goes.", show_default="MODEL-BOARD"),
    ] = None,
    sram: Sram = None,
    macs_limit: MacsLimit = None,
    schedule: Schedule = "auto",
    patches: Patches = None,
    patch_ops: PatchOps = None,
    feed: Feed = "whole",
    io: Io = "model",
    train: Train = None,
    filter_: Filter = "1",
    update: Update = "full",
    optimizer: Optimizer = "sgd",
    precision: Precision = "int8",
    batch: Batch = 1,
    loss: Loss = "cross-entropy",
    classes: Classes = None,
    optimize: Optimize = "speed",
    threads: Threads = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Samples to quantise a float model with first: see `tinyml convert`."),
    ] = None,
    pixels: Pixels = None,
    as_json: Json = False,
) -> None:
    """Generate the C project and compile the firmware."""
    convert = None if data is None and pixels is None else ConvertOptions(data, pixels)
    request = _request(train, filter_, optimizer, update, precision, batch, loss, classes)
    options = OptionArguments(
        sram=sram,
        macs_limit=macs_limit,
        schedule=schedule,
        patches=None if patches is None else parse_patches(patches),
        patch_ops=patch_ops,
        feed=feed,
        io=io,
        optimize=optimize,
        threads=threads,
    )
    with report.waiting(ERRORS, f"converting {model.name}", shown=convert is not None):
        if request is None:
            result = pipeline.build(model, board, out, convert=convert, **options)
        else:
            result = pipeline.build_learning(model, board, request, out, convert=convert, **options)
    show(result, report.build, as_json)


@app.command()
def verify(
    project: Project,
    port: Port = None,
    inputs: Annotated[int, typer.Option(min=1, help="How many random inputs.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random inputs.")] = 0,
    train_steps: Annotated[
        int, typer.Option("--train-steps", min=0, help="Train so many samples, and compare that.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Run the firmware and compare every output byte with the NumPy reference."""
    if train_steps:
        with report.progress(ERRORS, "training") as progress:
            found = pipeline.verify_learning(
                project, steps=train_steps, port=port, seed=seed, progress=progress
            )
        show(found, report_training.verification, as_json)
        if not found.bit_exact:
            raise typer.Exit(CheckFailedError.exit_status)
        return
    with report.progress(ERRORS, "verifying") as progress:
        result = pipeline.verify(project, port=port, inputs=inputs, seed=seed, progress=progress)
    show(result, report.verification, as_json)
    if not result.bit_exact:
        raise typer.Exit(CheckFailedError.exit_status)


@app.command()
def evaluate(
    model: Model,
    data: Annotated[
        Path,
        typer.Option(
            help="Samples with `labels` or `targets`: an .npz, or a folder of files by class.",
            show_default=False,
        ),
    ],
    float_model: Annotated[
        Path | None,
        typer.Option("--float", metavar="MODEL", help="The float model: compare layers, too."),
    ] = None,
    board: Annotated[
        str | None, typer.Option(help="Build a firmware for this board, and try it, too.")
    ] = None,
    project: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Try this firmware of the model, too.")
    ] = None,
    port: Port = None,
    pixels: Pixels = None,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Show the accuracy or error of a quantised model, and where it loses."""
    if board is not None and project is not None:
        raise ModelError("--board and --project both name a firmware", hint="give one of them")
    options = EvaluateOptions(data, pixels, limit, float_model, project, port)
    with report.progress(ERRORS, "evaluating") as progress:
        result = pipeline.evaluate(model, options, board=board, progress=progress)
    show(result, report_quality.evaluation, as_json)
    if result.target_score is not None and not result.target_score.bit_exact:
        raise typer.Exit(CheckFailedError.exit_status)


@app.command()
def profile(
    project: Project,
    port: Port = None,
    cycles: Annotated[
        bool, typer.Option("--cycles", help="Estimate cycles, too, for a core in an emulator.")
    ] = False,
    train: Annotated[
        bool, typer.Option("--train", help="Count a training step, call by call.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Count what each layer costs: instructions in an emulator, cycles on a board."""
    if train:
        with report.progress(ERRORS, "profiling") as progress:
            found = pipeline.profile_learning(project, port=port, progress=progress)
        show(found, report_training.profile, as_json)
        return
    with report.progress(ERRORS, "profiling") as progress:
        result = pipeline.profile(project, port=port, cycles=cycles, progress=progress)
    show(result, report.profile, as_json)


@app.command()
def run(
    project: Project,
    input_files: Annotated[
        list[Path],
        typer.Option("--input", help="A .npy file per model input.", show_default=False),
    ],
    port: Port = None,
    as_json: Json = False,
) -> None:
    """Run one inference on the target and show the outputs."""
    arrays = [_load_array(path) for path in input_files]
    with report.progress(ERRORS, "sending") as progress:
        result = pipeline.run(project, arrays, port=port, progress=progress)
    show(result, report.outputs, as_json)


@app.command()
def flash(
    project: Project,
    port: Port = None,
    tool: Annotated[
        str | None, typer.Option(help="One of the board's tools; else the first installed.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the command, and do nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put the firmware on its board: by a programmer, or over ssh."""
    ask = _ask if sys.stdin.isatty() and not as_json else None
    result = pipeline.flash(project, port=port, tool=tool, dry_run=dry_run, ask=ask)
    show(result, report.flash, as_json)


@app.command()
def package(
    project: Project,
    form: Annotated[str, typer.Option(help="cmake or cmsis-pack.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for it.", show_default="PROJECT/build"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a package of the model alone, for another build system."""
    show(pipeline.package(project, form, out), report.package, as_json)


@app.command()
def boards(as_json: Json = False) -> None:
    """List the boards that firmware can be built for."""
    show(pipeline.boards(), report.boards, as_json)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check that compilers, emulator and packages are there."""
    result = pipeline.doctor()
    show(result, report.doctor, as_json)
    if not result.ok:
        raise typer.Exit(MissingToolError.exit_status)


def _request(
    train: str | None,
    filter_: str,
    optimizer: str,
    update: str,
    precision: str,
    batch: int,
    loss: str,
    classes: int | None,
) -> TrainRequest | None:
    """What is to learn; None for nothing, and then nothing may be said of how."""
    given = TrainRequest(
        train or "auto", filter_, optimizer, update, precision, batch, loss, classes
    )
    if train is None and given != TrainRequest("auto"):
        raise PlanError(
            "--filter, --update, --optimizer, --precision, --batch, --loss and --classes say how "
            "to train, and --train is not given",
            hint="such as --train last=2",
        )
    return None if train is None else given


def _ask(question: str, answers: Sequence[str]) -> int:
    """The index of the answer that the user gives by number."""
    for index, answer in enumerate(answers, 1):
        typer.echo(f"  {index}  {answer}", err=True)
    while True:
        number: int = typer.prompt(question, type=int, err=True)
        if 1 <= number <= len(answers):
            return number - 1


def _show_version(value: bool) -> None:
    if value:
        print(f"tinyml {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")
    ] = False,
) -> None:
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"


def _tflite_beside(model: Path) -> Path:
    """MODEL.tflite in this folder; MODEL_int8.tflite where that is the model itself."""
    return Path(f"{model.stem}{'_int8' if model.suffix == '.tflite' else ''}.tflite")


def _load_array(path: Path) -> np.ndarray[Any, np.dtype[Any]]:
    """The array in a .npy file; pickled objects are refused, for loading them runs code."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"{path}: cannot be read as a .npy array: {error}") from error
    if not isinstance(array, np.ndarray):
        raise ModelError(f"{path}: is no .npy file", hint="numpy.save(path, array) writes one")
    return array


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str]) -> int:
    as_json = "--json" in arguments
    try:
        command = list(arguments) or ["--help"]
        return app(args=command, prog_name="tinyml", standalone_mode=False) or 0
    except TinymlError as problem:
        return _fail(problem, problem.exit_status, as_json)
    except typer.TyperException as problem:
        usage = TinymlError(problem.format_message(), hint="tinyml --help")
        return _fail(usage, problem.exit_code, as_json)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(TinymlError("interrupted"), EXIT_INTERRUPTED, as_json)
    except Exception as problem:
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        what = " ".join(f"{type(problem).__name__}: {problem}".split())
        bug = TinymlError(
            f"this is a bug in tinyml: {what}", hint=f"{DEBUG_VARIABLE}=1 shows the traceback"
        )
        return _fail(bug, EXIT_BUG, as_json)


def _fail(problem: TinymlError, status: int, as_json: bool) -> int:
    if as_json:
        kind = type(problem).__name__
        error: dict[str, Any] = {
            "kind": kind,
            "what": problem.what,
            "hint": problem.hint,
            "exit_status": status,
        }
        if isinstance(problem, UnsupportedError):
            error["unsupported"] = [asdict(item) for item in problem.items]
        if isinstance(problem, ConvertError):
            error["log"] = problem.log
        print(json.dumps({"error": error}, indent=2))
    report.error(ERRORS, problem)
    return status
