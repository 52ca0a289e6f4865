"""The benchmark of a new task, on a network and images of a few pixels."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import transfer
from tests.support.builder import GraphBuilder, per_tensor
from tests.support.tflite_writer import write
from tests.train.nets import SAME
from tinyml.ir import ops


def test_a_table_is_replaced_and_others_stay() -> None:
    document = transfer.replaced(transfer.replaced("# T\n", "a", "\none\n"), "b", "\ntwo\n")
    again = transfer.replaced(document, "a", "\nthree\n")
    assert again == "# T\n\n## a\n\nthree\n\n## b\n\ntwo\n"


def test_images_keep_their_mean_and_corners() -> None:
    images = np.arange(2 * 4 * 4).reshape(2, 4, 4, 1)
    assert np.array_equal(transfer.resized(images, 4, 4), images)
    larger = transfer.resized(images, 8, 8)
    assert larger.shape == (2, 8, 8, 1) and np.allclose(larger.mean(), images.mean())
    assert larger[0, 0, 0, 0] == images[0, 0, 0, 0] and larger[1, 7, 7, 0] == images[1, 3, 3, 0]


def test_halves_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which half of an image is bright is easy to learn, whatever the radius."""
    b = GraphBuilder("halves", 3)
    x = b.input((1, 8, 8, 1), per_tensor(1 / 128, 0), name="image")
    x = b.conv(x, 8, pads=SAME, quant=per_tensor(0.02, 0))
    x = b.conv(x, 8, (8, 8), quant=per_tensor(0.05, 0))
    model = tmp_path / "halves.tflite"
    flat = b.node(ops.Reshape((1, 8)), (x,), per_tensor(0.05, 0))
    model.write_bytes(write(b.graph(b.dense(flat, 4, quant=per_tensor(0.05, 0)))))
    rng = np.random.default_rng(0)

    def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(2, size=count).astype(np.uint8)
        images = rng.integers(0, 60, (count, 8, 8)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[4 * label : 4 * label + 4] += 150
        return images, labels

    (x_train, y_train), (x_test, y_test) = drawn(80), drawn(40)
    data = tmp_path / "data.npz"
    np.savez(data, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    monkeypatch.setattr(transfer, "TABLE", tmp_path / "transfer.md")
    words = "--train 80 --test 40 --updates 40 --seeds 2 --radii 1,4 --last 2 --rate 0.01"
    monkeypatch.setattr(sys, "argv", ["x", str(model), "--data", str(data), *words.split()])
    transfer.main()
    rows = [line for line in transfer.TABLE.read_text().splitlines() if line.startswith("| int8")]
    assert len(rows) == 2
    assert all(float(row.split("|")[5].strip(" %")) > 90 for row in rows), rows
