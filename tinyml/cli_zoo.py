"""`tinyml zoo`: its commands and their arguments."""

from pathlib import Path
from typing import Annotated

import typer

from tinyml import report, report_zoo, zoo
from tinyml.cli_options import Json, Pixels
from tinyml.cli_show import ERRORS, show
from tinyml.zoo import ZooOptions

zoo_app = typer.Typer(
    name="zoo",
    help="Well-known small networks: list, build, train them (with Keras).",
)

Name = Annotated[str, typer.Argument(help="See `tinyml zoo list`.", show_default=False)]
Out = Annotated[
    Path,
    typer.Option(
        "--out", "-o", help="The file to write: .keras, or .tflite in int8.", show_default=False
    ),
]
Size = Annotated[int | None, typer.Option(min=1, help="Of the input: pixels, frames or numbers.")]
ZooClasses = Annotated[int | None, typer.Option("--classes", help="How many to tell apart.")]
Alpha = Annotated[float | None, typer.Option(help="Channels: those of the original, times this.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the random weights.")]


@zoo_app.command("list")
def list_(as_json: Json = False) -> None:
    """List the networks, with what each is like unless told otherwise."""
    show(zoo.listed(), report_zoo.listed, as_json)


@zoo_app.command()
def build(
    name: Name,
    out: Out,
    size: Size = None,
    classes: ZooClasses = None,
    alpha: Alpha = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Make a network with random weights."""
    options = ZooOptions(size, classes, alpha, seed)
    with report.waiting(ERRORS, f"building {name}"):
        result = zoo.build(name, out, options)
    show(result, report_zoo.made, as_json)


@zoo_app.command()
def train(
    name: Name,
    data: Annotated[
        Path,
        typer.Option(
            help="An .npz with `labels` or `targets`, or a folder with a folder for each class.",
            show_default=False,
        ),
    ],
    out: Out,
    epochs: Annotated[int, typer.Option(min=1, help="How often to go through the data.")] = 10,
    pixels: Pixels = None,
    size: Size = None,
    classes: ZooClasses = None,
    alpha: Alpha = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train a network from scratch; an eighth of the samples is held back to measure on."""
    options = ZooOptions(size, classes, alpha, seed)
    with report.progress(ERRORS, f"training {name}") as progress:
        result = zoo.train(
            *(name, out, options, data), pixels=pixels, epochs=epochs, progress=progress
        )
    show(result, report_zoo.made, as_json)
