"""Samples read from files and folders, and made to fit the inputs of a model."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyml.data import fit, parse_pixels, plain_name, read_dataset
from tinyml.errors import MissingToolError, ModelError
from tinyml.ir.graph import DType, Quant, Tensor

IMAGE = Tensor("serving_default_image:0", (1, 4, 6, 3), DType.FLOAT32)
RNG = np.random.default_rng(0)


def test_npz_by_name(tmp_path: Path) -> None:
    image, other = RNG.random((5, 4, 6, 3), np.float32), RNG.random((5, 2))
    path = tmp_path / "d.npz"
    np.savez(path, other=other, image=image, labels=np.arange(5))
    data = read_dataset(path)
    first, second = fit(data, [IMAGE, Tensor("other", (1, 2), DType.FLOAT32)])
    assert data.count == 5 and data.labels is not None and data.labels.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(first, image[:, None])
    np.testing.assert_array_equal(second, other[:, None].astype(np.float32))


def test_channels_first_is_turned_and_missing_ones_are_added(tmp_path: Path) -> None:
    image = RNG.random((5, 3, 4, 6), np.float32)
    np.save(tmp_path / "d.npy", image)
    (found,) = fit(read_dataset(tmp_path / "d.npy"), [IMAGE])
    np.testing.assert_array_equal(found[:, 0], image.transpose(0, 2, 3, 1))
    np.save(tmp_path / "g.npy", image[:, 0])
    (grey,) = fit(read_dataset(tmp_path / "g.npy"), [Tensor("x", (1, 4, 6, 1), DType.FLOAT32)])
    np.testing.assert_array_equal(grey[:, 0, :, :, 0], image[:, 0])


def test_real_numbers_are_quantised_and_integers_of_the_type_are_not(tmp_path: Path) -> None:
    tensor = Tensor("x", (1, 3), DType.INT8, Quant((0.5,), (-10,)))
    np.save(tmp_path / "r.npy", np.array([[0.0, 1.0, 1000.0], [-1000.0, 0.25, 0.76]]))
    (found,) = fit(read_dataset(tmp_path / "r.npy"), [tensor])
    assert found.dtype == np.int8
    assert found[:, 0].tolist() == [[-10, -8, 127], [-128, -10, -8]]
    np.save(tmp_path / "i.npy", np.array([[1, 2, 3]], np.int8))
    assert fit(read_dataset(tmp_path / "i.npy"), [tensor])[0].ravel().tolist() == [1, 2, 3]


def test_folders_of_arrays_and_their_classes(tmp_path: Path) -> None:
    for name, value in (("no/b", 1), ("no/a", 0), ("yes/c", 2)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.save(tmp_path / f"{name}.npy", np.full(3, value, np.float32))
    data = read_dataset(tmp_path)
    assert data.labels is not None and data.labels.tolist() == [0, 0, 1]
    assert data.arrays[""][:, 0].tolist() == [0, 1, 2]
    assert read_dataset(tmp_path / "no").labels is None


def test_images(tmp_path: Path) -> None:
    for name, value in (("a.png", 0), ("b.png", 255), ("c.png", 51)):
        Image.fromarray(np.full((8, 9, 3), value, np.uint8)).save(tmp_path / name)
    (found,) = fit(read_dataset(tmp_path, parse_pixels("-1..1")), [IMAGE])
    assert found.shape == (3, 1, 4, 6, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0, 0, 0, 0], [-1, 1, -0.6], atol=1e-6)
    (grey,) = fit(read_dataset(tmp_path, (0.0, 255.0)), [Tensor("x", (1, 2, 2, 1), DType.FLOAT32)])
    assert grey.max() == 255 and grey.min() == 0


def test_images_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingToolError) as caught:
        fit(read_dataset(tmp_path, (0.0, 1.0)), [IMAGE])
    assert caught.value.hint == "pip install 'tinyml[images]'"


def test_a_limit_spreads_over_all(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.arange(10.0)[:, None], labels=np.arange(10))
    few = read_dataset(tmp_path / "d.npz").take(5)
    assert few.count == 5 and few.labels is not None
    assert few.labels.tolist() == few.arrays["x"].ravel().tolist() == [0, 2, 4, 6, 8]


def test_what_exporters_add_to_names() -> None:
    assert plain_name("serving_default_image:0") == "image"
    assert plain_name("args_0") == "args_0"


def _saved(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("arrays", "word"),
    [
        ({"x": np.zeros((2, 3)), "labels": np.zeros(3, int)}, "different lengths"),
        ({"x": np.full((2, 3), np.nan)}, "not finite"),
        ({"x": np.zeros((0, 3))}, "no samples"),
        ({"labels": np.zeros(3, int)}, "no array for an input"),
        ({"x": np.zeros((2, 3)), "labels": np.zeros(2)}, "float64"),
        ({"x": np.array(["a"])}, "no numbers"),
        ({"x": np.float32(1)}, "single number"),
    ],
)
def test_bad_archives(tmp_path: Path, arrays: dict[str, object], word: str) -> None:
    with pytest.raises(ModelError, match=word):
        read_dataset(_saved(tmp_path / "d.npz", **arrays))


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no samples"):
        read_dataset(tmp_path)
    with pytest.raises(ModelError, match="not there"):
        read_dataset(tmp_path / "none.npz")
    np.save(tmp_path / "a.npy", np.zeros(3))
    np.save(tmp_path / "b.npy", np.zeros(4))
    with pytest.raises(ModelError, match=r"b\.npy"):
        read_dataset(tmp_path)
    (tmp_path / "b.npy").unlink()
    (tmp_path / "c.png").write_bytes(b"no image")
    with pytest.raises(ModelError, match="both"):
        read_dataset(tmp_path)
    (tmp_path / "a.npy").unlink()
    with pytest.raises(ModelError, match="black") as caught:
        read_dataset(tmp_path)
    assert "--pixels 0..1" in caught.value.hint
    with pytest.raises(ModelError, match=r"c\.png"):
        fit(read_dataset(tmp_path, (0.0, 1.0)), [IMAGE])


def test_what_does_not_fit(tmp_path: Path) -> None:
    path = _saved(tmp_path / "d.npz", x=np.zeros((2, 4, 5, 3)))
    with pytest.raises(ModelError, match=r"takes \[1, 4, 6, 3\], the samples are \[2, 4, 5, 3\]"):
        fit(read_dataset(path), [IMAGE])
    with pytest.raises(ModelError, match="no array for input 'image'"):
        fit(read_dataset(path), [Tensor("x", (1, 4, 5, 3), DType.FLOAT32), IMAGE])
    with pytest.raises(ModelError, match="takes int32"):
        fit(read_dataset(path), [Tensor("x", (1, 4, 5, 3), DType.INT32)])


@pytest.mark.parametrize("text", ["", "1", "0..0", "a..b", "0..1..2", "0-1"])
def test_bad_pixels(text: str) -> None:
    with pytest.raises(ModelError, match="pixels"):
        parse_pixels(text)
