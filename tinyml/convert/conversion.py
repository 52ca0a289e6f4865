"""Model file and samples -> a full-int8 .tflite file, and the float one that it came from."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tinyml import importers
from tinyml.convert.formats import KERAS, TFLITE, Format, format_of, require
from tinyml.convert.job import ConvertJob
from tinyml.convert.process import run_worker
from tinyml.data import Dataset, parse_pixels, read_dataset
from tinyml.errors import ModelError, UnsupportedError
from tinyml.importers.tflite_file import read_file
from tinyml.results import ConvertReport

_QUANTISED = ("INT8", "UINT8", "INT16")


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """How a model is quantised."""

    data: Path | None = None
    """The representative samples: an .npz or .npy file or a folder, see `tinyml.data`."""
    pixels: str | None = None
    """What black and white pixels of image files are to the model, such as "0..1"."""
    limit: int | None = None
    """The most samples to take, evenly spread."""
    int16x8: bool = False
    """int16 activations, in place of int8."""
    equalize: bool = False
    """Equalise the weights of a Keras model first, and correct biases."""

    def __post_init__(self) -> None:
        if self.data is None and (self.pixels or self.limit or self.int16x8 or self.equalize):
            raise ModelError("nothing is quantised without samples", hint="--data SAMPLES")
        if self.pixels is not None:
            parse_pixels(self.pixels)


def convert(
    model: Path, out: Path, options: ConvertOptions, *, float_out: Path | None = None
) -> ConvertReport:
    """Converts and quantises `model`; writes `out`, and the float model to `float_out`.

    Raises ModelError or UnsupportedError for what the model or the samples are, MissingToolError
    where packages are missing, ConvertError where a converter fails.
    """
    content, floats = converted_bytes(model, options)
    _write(out, content)
    if float_out is not None:
        _write(float_out, floats)
    try:
        importers.load(out)
        unsupported = ""
    except (UnsupportedError, ModelError) as error:  # converters write unsound files, too
        unsupported = error.what
    assert options.data is not None
    return ConvertReport(
        model=str(model),
        format=format_of(model).name,
        out=str(out),
        bytes=len(content),
        float_bytes=len(floats),
        activations="int16" if options.int16x8 else "int8",
        samples=_read(options).count,
        unsupported=unsupported,
    )


def converted_bytes(model: Path, options: ConvertOptions) -> tuple[bytes, bytes]:
    """The quantised and the float .tflite file of `model`; raises as `convert` does."""
    if options.data is None:
        raise ModelError(
            f"quantising '{model}' needs samples of its inputs",
            hint="--data samples.npz, or a folder of .npy files or images: about a hundred",
        )
    if options.equalize and format_of(model) is not KERAS:
        raise UnsupportedError(
            f"equalising is for Keras models, and '{model}' is one of {format_of(model).name}",
            hint="leave out --equalize",
        )
    found = _checked(model)
    _read(options)  # bad data is found before a converter has taken its time
    quantised, floats = _run(model, found, options)
    assert quantised is not None
    return quantised, floats


def float_bytes(model: Path) -> bytes:
    """The float .tflite file of `model`, which may be one."""
    found = format_of(model)
    if found is TFLITE:
        return _bytes(model)
    require(found)
    return _run(model, found, ConvertOptions())[1]


def _checked(model: Path) -> Format:
    """The format of a float model whose packages are installed."""
    found = format_of(model)
    if found is TFLITE and is_quantised(_bytes(model)):
        raise ModelError(f"'{model}' is quantised already", hint=f"tinyml inspect {model}")
    require(found)
    return found


def is_quantised(content: bytes) -> bool:
    """Whether a .tflite file computes with integers."""
    file = read_file(content)
    produced = (file.tensors[i] for operator in file.operators for i in operator.outputs)
    return any(tensor.quant is not None and tensor.type in _QUANTISED for tensor in produced)


def _run(model: Path, found: Format, options: ConvertOptions) -> tuple[bytes | None, bytes]:
    with tempfile.TemporaryDirectory(prefix="tinyml-") as folder:
        floats, quantised = Path(folder, "float.tflite"), Path(folder, "quantised.tflite")
        job = ConvertJob(
            format=found.name,
            model=str(model.resolve()),
            float_out=str(floats),
            quantised_out=None if options.data is None else str(quantised),
            data=None if options.data is None else str(options.data.resolve()),
            pixels=None if options.pixels is None else parse_pixels(options.pixels),
            limit=options.limit,
            int16x8=options.int16x8,
            equalize=options.equalize,
        )
        run_worker(job, f"{found.name} model '{model}' cannot be converted")
        return quantised.read_bytes() if options.data else None, floats.read_bytes()


def _read(options: ConvertOptions) -> Dataset:
    assert options.data is not None
    pixels = None if options.pixels is None else parse_pixels(options.pixels)
    return read_dataset(options.data, pixels).take(options.limit)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read '{path}': {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ModelError(
            f"cannot write '{path}': {error.strerror or error}", hint="name another file"
        ) from error
