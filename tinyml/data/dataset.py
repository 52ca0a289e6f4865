"""Samples on disk: an .npz, an .npy, or a folder of .npy files or of images.

An .npz holds an array [n, ...] for each input, by its name; `labels` (class numbers) and
`targets` (what the first output should be) are not inputs. In a folder every file is one
sample; where they lie in folders of their own, these are the classes, in alphabetical order.
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from tinyml.data.images import IMAGE_SUFFIXES
from tinyml.errors import ModelError
from tinyml.ir.graph import Array

LABELS, TARGETS = "labels", "targets"
_KINDS = "an .npz or .npy file, or a folder of .npy files or of images"


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Samples as they are on disk; either `arrays` or `images` has them."""

    source: Path
    count: int
    arrays: Mapping[str, Array] = field(default_factory=lambda: MappingProxyType({}))
    """[count, ...] each, by the name that the file gives it; "" where it gives none."""
    images: tuple[Path, ...] = ()
    """Files, not yet decoded: only a model's input says how large they are to be."""
    labels: Array | None = None
    """[count], class numbers."""
    targets: Array | None = None
    """[count, ...], what the first output should be."""
    pixels: tuple[float, float] | None = None
    """What black and white are to the model."""

    def take(self, limit: int | None) -> "Dataset":
        """At most `limit` samples, evenly spread: files are often sorted by class."""
        if limit is None or limit >= self.count:
            return self
        chosen = np.arange(limit) * self.count // limit
        return replace(
            self,
            count=limit,
            arrays=MappingProxyType({name: each[chosen] for name, each in self.arrays.items()}),
            images=tuple(self.images[i] for i in chosen) if self.images else (),
            labels=None if self.labels is None else self.labels[chosen],
            targets=None if self.targets is None else self.targets[chosen],
        )


def read_dataset(path: Path, pixels: tuple[float, float] | None = None) -> Dataset:
    """The samples in a file or folder.

    `pixels` is what 0 and 255 of an image become. Raises ModelError for what cannot be
    read, is empty, or contradicts itself.
    """
    if not path.exists():
        raise ModelError(f"data '{path}' is not there", hint=f"give {_KINDS}")
    if path.is_dir():
        found = _folder(path)
    elif path.suffix.lower() == ".npz":
        found = _npz(path)
    elif path.suffix.lower() == ".npy":
        array = _load(path)
        found = Dataset(path, _length("the array", array, path), {"": array})
    else:
        raise ModelError(f"data '{path}' is of no known kind", hint=f"give {_KINDS}")
    if not found.count:
        raise ModelError(f"'{path}' has no samples", hint=f"give {_KINDS}")
    if found.images and pixels is None:
        raise ModelError(
            f"'{path}' has images: what is a black and what a white pixel to the model?",
            hint="--pixels 0..1, --pixels -1..1 or --pixels 0..255, as in training",
        )
    if pixels is not None and not found.images:
        raise ModelError(
            f"'{path}' has arrays, which are taken as they are", hint="leave out --pixels"
        )
    return replace(found, pixels=pixels)


def _npz(path: Path) -> Dataset:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: cannot be read as an .npz archive: {error}") from error
    for name, array in arrays.items():
        _check_numbers(f"array '{name}'", array, path)
    lengths = {name: _length(f"array '{name}'", array, path) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"'{name}' {count}" for name, count in lengths.items())
        raise ModelError(f"the arrays in '{path}' have different lengths: {listed}")
    labels, targets = arrays.pop(LABELS, None), arrays.pop(TARGETS, None)
    if not arrays:
        raise ModelError(
            f"'{path}' has no array for an input", hint="numpy.savez(path, NAME_OF_INPUT=array)"
        )
    return Dataset(
        path,
        next(iter(lengths.values())),
        MappingProxyType(arrays),
        labels=None if labels is None else _labels(labels, path),
        targets=targets,
    )


def _labels(labels: Array, path: Path) -> Array:
    """[n] integers; of one-hot rows their classes are not guessed."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ModelError(
            f"'{LABELS}' in '{path}' is {labels.dtype}{list(labels.shape)}",
            hint=f"class numbers as integers [n]; other goals are called '{TARGETS}'",
        )
    return labels


def _folder(path: Path) -> Dataset:
    classes = sorted(each for each in path.iterdir() if each.is_dir() and _samples(each))
    direct = _samples(path)
    if classes and direct:
        raise ModelError(
            f"'{path}' has samples beside folders of samples",
            hint="either all in one folder, or in a folder for each class",
        )
    groups = [(index, _samples(folder)) for index, folder in enumerate(classes)] or [(0, direct)]
    files = [file for _, members in groups for file in members]
    labels = np.array([index for index, members in groups for _ in members], np.int64)
    suffixes = {file.suffix.lower() == ".npy" for file in files}
    if len(suffixes) > 1:
        raise ModelError(f"'{path}' has both arrays and images", hint="give one kind")
    known = labels if classes else None
    if suffixes == {True}:
        return Dataset(path, len(files), {"": _stack(files)}, labels=known)
    return Dataset(path, len(files), images=tuple(files), labels=known)


def _samples(folder: Path) -> list[Path]:
    """The sample files right in a folder, by name."""
    wanted = {".npy", *IMAGE_SUFFIXES}
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in wanted)


def _stack(files: Sequence[Path]) -> Array:
    first = _load(files[0])
    arrays = [first]
    for file in files[1:]:
        array = _load(file)
        if (array.shape, array.dtype) != (first.shape, first.dtype):
            raise ModelError(
                f"'{file}' is {array.dtype}{list(array.shape)}, "
                f"'{files[0].name}' beside it {first.dtype}{list(first.shape)}"
            )
        arrays.append(array)
    return np.stack(arrays)


def _load(path: Path) -> Array:
    """The array in a .npy file; pickled objects are refused, for loading them runs code."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"{path}: cannot be read as a .npy array: {error}") from error
    if not isinstance(array, np.ndarray):
        raise ModelError(f"{path}: is no .npy file", hint="numpy.save(path, array) writes one")
    _check_numbers("the array", array, path)
    return array


def _check_numbers(what: str, array: Array, path: Path) -> None:
    if array.dtype.kind not in "biuf":
        raise ModelError(f"{what} in '{path}' holds {array.dtype}, no numbers")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ModelError(f"{what} in '{path}' has values that are not finite")


def _length(what: str, array: Array, path: Path) -> int:
    if array.ndim == 0:
        raise ModelError(f"{what} in '{path}' is a single number", hint="samples are [n, ...]")
    return len(array)
