"""PyTorch: trained here, exported, converted, built, verified."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import tinyml
from tests.frameworks.common import deploys
from tests.frameworks.conftest import CLASSES, SIZE, blobs, need, saved

need("torch", "litert_torch")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network() -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        *(nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU6()),
        *(nn.Conv2d(8, 12, 1), nn.Hardswish(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(12 * 9, CLASSES), nn.Softmax(-1)),
    )
    data = blobs(1000, 0)
    images = torch.from_numpy(data.images).permute(0, 3, 1, 2)
    labels = torch.from_numpy(data.labels)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(12):
        for part in torch.randperm(len(labels)).split(50):
            optimizer.zero_grad()
            nn.functional.nll_loss(model(images[part]).log(), labels[part]).backward()
            optimizer.step()
    return model.eval()


def _export(network: Any, path: Path, batch: int, **options: Any) -> None:
    import torch

    sample = torch.zeros(batch, 3, SIZE, SIZE)
    torch.export.save(torch.export.export(network, (sample,), **options), path)


def test_exported_program(network: Any, tmp_path: Path) -> None:
    _export(network, tmp_path / "net.pt2", 1)
    deploys(tmp_path / "net.pt2", saved(tmp_path, "x", channels_first=True), tmp_path)


def test_other_batch_sizes(network: Any, tmp_path: Path) -> None:
    import torch

    data = saved(tmp_path, "x", channels_first=True)
    batch = torch.export.Dim("batch", min=1, max=64)
    _export(network, tmp_path / "open.pt2", 8, dynamic_shapes=({0: batch},))
    out = tmp_path / "out.tflite"
    assert tinyml("convert", tmp_path / "open.pt2", "--data", data.train, "-o", out).status == 0
    assert tinyml("inspect", out, "--json").json["inputs"][0]["shape"] == [1, SIZE, SIZE, 3]
    _export(network, tmp_path / "fixed.pt2", 8)
    outcome = tinyml("convert", tmp_path / "fixed.pt2", "--data", data.train, "-o", out)
    outcome.fails(2, "batch of 1")
