"""The arguments of the command line, with what `--help` says of them."""

from pathlib import Path
from typing import Annotated

import typer

from tinyml.options import parse_bytes

Model = Annotated[Path, typer.Argument(help="A full-int8 .tflite file.", show_default=False)]
Project = Annotated[
    Path, typer.Argument(help="A folder that `tinyml build` made.", show_default=False)
]
BoardName = Annotated[str, typer.Option("--board", help="See `tinyml boards`.", show_default=False)]
Sram = Annotated[
    int | None,
    typer.Option(
        "--sram",
        parser=parse_bytes,
        metavar="BYTES",
        help="The most bytes that the arena may take (64K is 65536): the fastest plan that fits.",
    ),
]
MacsLimit = Annotated[
    float | None,
    typer.Option(
        "--macs-limit",
        metavar="X",
        help="The most work, times the model's own MACs: the least memory within it.",
    ),
]
Schedule = Annotated[
    str,
    typer.Option(
        help="layer: one operator after the other; stream: rows through ring buffers; patch: the "
        "first operators tile by tile; auto: the best of all."
    ),
]
Patches = Annotated[
    str | None,
    typer.Option(metavar="YxX", help="The grid of --schedule patch: rows x columns of patches."),
]
PatchOps = Annotated[
    int | None, typer.Option(min=1, help="How many operators --schedule patch runs in patches.")
]
Feed = Annotated[
    str,
    typer.Option(
        help="How the input comes; whole: all of it lies in RAM; rows: one after the other; "
        "pull: read in pieces from slower memory, some more than once (both with --io int8)."
    ),
]
Io = Annotated[
    str, typer.Option("--io", help="model: inputs and outputs as they are; int8: none in float32.")
]
Optimize = Annotated[
    str, typer.Option(help="What code is made for: speed (the least time), size (the least flash).")
]
Threads = Annotated[
    int | None,
    typer.Option(
        help="How many threads share large layers.", show_default="the cores of a Linux board"
    ),
]
Train = Annotated[
    str | None,
    typer.Option(
        "--train",
        metavar="WHAT",
        help="What goes on learning on the board: last=N (layers with weights), layers=A,B or auto "
        "(what brings most within --sram, which is then for all that training needs).",
    ),
]
Filter = Annotated[
    str,
    typer.Option(
        "--filter",
        metavar="R[,LAYER=R]",
        help="Radius of the gradient filter: 1 is exact, 2 and more take less memory and work.",
    ),
]
Update = Annotated[
    str,
    typer.Option(
        "--update",
        metavar="U[,LAYER:U]",
        help="What of a layer learns: full, bias, or channels=1/4 of its input.",
    ),
]
Optimizer = Annotated[str, typer.Option(help="sgd, or momentum (4 bytes more per gradient).")]
Precision = Annotated[str, typer.Option(help="What the layers that learn are: int8 or float32.")]
Batch = Annotated[int, typer.Option(min=1, help="Samples to an update.")]
Loss = Annotated[str, typer.Option(help="cross-entropy or mse.")]
Classes = Annotated[
    int | None, typer.Option(help="A new classifier, for so many classes.", show_default=False)
]
Port = Annotated[
    str | None,
    typer.Option(
        help="A serial port such as /dev/ttyACM0, socket://host:port, or ssh://user@host."
    ),
]
Pixels = Annotated[
    str | None,
    typer.Option(
        metavar="LOW..HIGH",
        help="What black and white pixels of images are to the model, such as 0..1.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="The most samples to take, evenly spread over all."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
