"""The picture of a map: left on the left, each map on its own scale, and nobody named."""

from __future__ import annotations

import io
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from neurofm.inference.explain import ExplainedScan
from neurofm.inference.explanation import Explanation, spearman
from neurofm.reports.explanation import write_explanation
from neurofm.reports.explanation_picture import draw_explanation
from neurofm.volumes.volume import Volume

SHAPE = (24, 30, 28)


def record_of(**changes: object) -> Explanation:
    values: dict[str, object] = {
        "method": "occlusion", "settings": {}, "explained": "log-odds of sex M", "value": 0.4,
        "prediction": "M", "class_name": "M", "probability": 0.6, "empty_value": None,
        "unaccounted": None, "spearman": -0.25, "spearman_absolute": None, "random_seed": 0,
        "weights_sha256": "w", "contract": "c", "software": {},
    }  # fmt: skip
    return Explanation.model_validate(values | changes)


def scan_of(record: Explanation, name: str = "cohort/sub-secret") -> ExplainedScan:
    """Red on the right of the trained map, nothing in the other."""
    brain = np.zeros(SHAPE, dtype=bool)
    brain[3:21, 4:26, 3:25] = True
    volume = np.where(brain, np.float32(0.5), np.float32(0))
    trained = np.zeros(SHAPE, dtype=np.float32)
    trained[brain & (np.arange(SHAPE[2]) >= 14)] = 2.0
    placed = Volume(trained.transpose(2, 1, 0), np.eye(4))
    nothing = np.zeros(SHAPE, dtype=np.float32)
    return ExplainedScan(
        name=name, volume=volume, brain=brain, trained=trained, randomised=nothing,
        on_template=placed, randomised_on_template=placed, on_scan=placed,
        randomised_on_scan=Volume(nothing.transpose(2, 1, 0), np.eye(4)), spacing_mm=6.0,
        record=record,
    )  # fmt: skip


def test_right_is_on_the_right_and_a_map_of_nothing_has_no_colour() -> None:
    picture = Image.open(io.BytesIO(draw_explanation(scan_of(record_of())))).convert("RGB")
    pixels = np.asarray(picture, dtype=int)
    is_red = pixels[..., 0] > pixels[..., 2] + 60
    slices = is_red[100:230]  # the axial ones
    columns = np.flatnonzero(slices.any(axis=0))
    assert columns.max() < picture.width / 2
    first = slices[:, :155]  # one slice
    assert first[:, 80:].sum() > 20 * max(1, first[:, :70].sum())


@pytest.mark.parametrize("method", ["gradients", "grad-cam"])
def test_every_method_can_be_drawn_where_nothing_is_predicted(method: str) -> None:
    record = record_of(method=method, prediction=None, class_name=None, probability=None)
    assert draw_explanation(scan_of(record)).startswith(b"\x89PNG")


def test_the_files_of_a_scan_are_named_by_it_and_their_contents_are_not(tmp_path: Path) -> None:
    write_explanation(tmp_path, scan_of(record_of()))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cohort_sub-secret.json", "cohort_sub-secret.png", "cohort_sub-secret_native_map.nii.gz",
        "cohort_sub-secret_native_random_map.nii.gz", "cohort_sub-secret_template_map.nii.gz",
        "cohort_sub-secret_template_random_map.nii.gz",
    ]  # fmt: skip
    assert json.loads((tmp_path / "cohort_sub-secret.json").read_text())["spearman"] == -0.25
    for path in tmp_path.iterdir():
        assert b"secret" not in path.read_bytes()
    native, random = (
        nib.load(tmp_path / f"cohort_sub-secret_native_{name}.nii.gz").get_fdata()
        for name in ("map", "random_map")
    )
    assert native.max() == 2
    assert not random.any()


def test_rank_correlation_looks_at_the_brain_only_and_at_no_constant() -> None:
    stream = np.random.default_rng(0)
    brain = stream.random(SHAPE) < 0.5
    first = stream.normal(size=SHAPE).astype(np.float32)
    other = np.where(brain, np.exp(first), stream.normal(size=SHAPE)).astype(np.float32)
    assert spearman(first, other, brain) == pytest.approx(1)
    assert spearman(first, -first, brain) == pytest.approx(-1)
    assert spearman(first, -first, brain, is_signed=False) == pytest.approx(1)
    assert spearman(first, np.ones_like(first), brain) is None
