"""The main job on real networks: model file to verified firmware, on emulated cores."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.models import NAMES, model_path
from tinyml import pipeline
from tinyml.errors import PlanError

LARGE = {
    "mcunet_person_detection_128x160_int8": "qemu-cortex-m7",
    "mcunetv2_large_224_int8": "host",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_bit_exact(name: str, tmp_path: Path) -> None:
    board = LARGE.get(name, "stm32")
    pipeline.build(model_path(name), board, tmp_path / "project")
    report = pipeline.verify(tmp_path / "project", inputs=5)
    assert report.bit_exact and report.mismatches == 0 and report.first_mismatch is None
    assert report.inputs == 5 and report.bytes_compared > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kws_ref_model", "resnet8_cifar10_int8"])
def test_bit_exact_where_rows_come(name: str, tmp_path: Path) -> None:
    """Made on the target and sent, row by row; touched memory is planned memory."""
    built = pipeline.build(model_path(name), "stm32", tmp_path / "project", feed="rows")
    assert pipeline.verify(tmp_path / "project", inputs=4).bit_exact
    (shape,) = (end.shape for end in pipeline.inspect(model_path(name)).inputs)
    sample = np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)
    assert pipeline.verify(tmp_path / "project", samples=[[sample]]).bit_exact
    profile = pipeline.profile(tmp_path / "project")
    assert profile.unit == "instructions"
    assert 0 <= built.arena_bytes - profile.arena_bytes_touched < 8
    assert abs(profile.total - sum(layer.count for layer in profile.layers)) < 2000


def test_a_model_too_large_is_refused_before_compiling(tmp_path: Path) -> None:
    model = model_path("mcunet_person_detection_128x160_int8")
    with pytest.raises(PlanError, match="at least"):
        pipeline.build(model, "stm32", tmp_path / "project")
    assert not (tmp_path / "project").exists()
