"""Where scans are encoded and how many at once changes how fast, and nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import neurofm as library
from neurofm.config.preparation import StoreConfig
from neurofm.errors import ConfigError, RunError
from neurofm.inference.computing import choose_computing
from neurofm.inference.embed import encode_by
from neurofm.models.weights import load_weights
from neurofm.store.packing import pack

SCANS = 7


@pytest.fixture(scope="module")
def place(fake: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven scans as `derivatives` and as a `store`, and `weights` for them."""
    folder = tmp_path_factory.mktemp("place")
    pack(fake.write(folder / "derivatives", SCANS), folder / "store", StoreConfig(spacing_mm=6.0))
    fake.weights(folder / "weights", fake.contract())
    return folder


def features_of(table: Any) -> np.ndarray:
    return np.stack(table["embedding"].to_list())


@pytest.mark.parametrize("source", ["store", "derivatives"])
def test_embeddings_and_predictions_do_not_depend_on_the_batch_size(
    place: Path, source: str
) -> None:
    scans, weights = place / source, place / "weights"
    one_by_one = features_of(library.embed(scans, weights, batch_size=1))
    ages = library.predict(scans, weights, batch_size=1)["prediction"]
    for size in (2, 3, SCANS, 100, None):
        found = features_of(library.embed(scans, weights, batch_size=size))
        assert found == pytest.approx(one_by_one, rel=1e-5, abs=1e-6)
        more = library.predict(scans, weights, batch_size=size)["prediction"]
        assert more.to_numpy() == pytest.approx(ages.to_numpy(), rel=1e-5)


@pytest.mark.parametrize("source", ["store", "derivatives"])
def test_so_many_scans_as_were_asked_for_pass_through_the_encoder_at_once(
    place: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    forward = torch.nn.Conv3d.forward

    def noted(layer: torch.nn.Conv3d, volumes: torch.Tensor) -> torch.Tensor:
        if volumes.shape[1] == 1:
            sizes.append(len(volumes))
        return forward(layer, volumes)

    monkeypatch.setattr(torch.nn.Conv3d, "forward", noted)
    library.embed(place / source, place / "weights", batch_size=3)
    assert sizes == [3, 3, 1]
    sizes.clear()
    library.embed(place / source, place / "weights")
    assert sizes == [SCANS]


def test_volumes_do_not_depend_on_the_batch_size(place: Path) -> None:
    given = np.random.default_rng(0).normal(size=(5, 25, 32, 32)).astype(np.float32)
    weights = place / "weights"
    one_by_one = library.EmbeddingTransformer(weights, batch_size=1).transform(given)
    for size in (2, 5, 100, None):
        step = library.EmbeddingTransformer(weights, device="cpu", batch_size=size)
        assert step.transform(given) == pytest.approx(one_by_one, rel=1e-5, abs=1e-6)


def test_a_bad_scan_of_a_batch_and_features_that_are_kept_leave_the_others_as_they_are(
    fake: SimpleNamespace, place: Path, tmp_path: Path
) -> None:
    """Two encoders, of which one has met some of the scans before."""
    work, source = tmp_path / "work", fake.write(tmp_path / "derivatives", SCANS)
    second = fake.weights(tmp_path / "second", fake.contract(), seed=2)
    loaded = [load_weights(place / "weights"), load_weights(second)]
    whole = encode_by(loaded, [source])
    encode_by(loaded[1:], [source], work=work, computing=choose_computing("cpu", 3))
    for path in sorted((work / ".embeddings").iterdir())[:4]:
        path.unlink()
    (source / "fake" / "scan04_T1w.nii.gz").write_bytes(b"cut")
    found = encode_by(loaded, [source], work=work, computing=choose_computing("cpu", 3))
    assert found.table["reason"].notna().tolist() == [row == 4 for row in range(SCANS)]
    for before, after in zip(whole.features, found.features, strict=True):
        assert np.isnan(after[4]).all()
        others = np.arange(SCANS) != 4
        assert after[others] == pytest.approx(before[others], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("command", ["embed", "predict"])
def test_a_device_or_a_batch_that_cannot_be_is_one_line_before_any_work(
    neurofm: Any, place: Path, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    output = tmp_path / "table.csv"
    for option, value, message in (
        ("--device", "cuda", "cuda: this machine has 0 GPUs; use --device cpu or auto"),
        ("--device", "cuda:1", "cuda:1: this machine has 0 GPUs; use --device cpu or auto"),
        ("--device", "gpu", "gpu: no such device; use auto, cpu, cuda or cuda:1"),
        ("--device", "meta", "meta: no such device; use auto, cpu, cuda or cuda:1"),
        ("--batch-size", "0", "--batch-size: 0 scans make no batch; give 1 or more"),
    ):
        done = neurofm(command, place / "store", "--weights", tmp_path / "absent", "-o", output,
                       option, value)  # fmt: skip
        assert done.returncode == 2
        assert message in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    done = neurofm(command, place / "store", "--weights", place / "weights", "-o", output,
                   "--device", "cpu", "--batch-size", 2)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_from_python_a_device_or_a_batch_that_cannot_be_is_refused_as_well(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    store, absent = place / "store", place / "absent"
    for device, size, message in (("cuda", None, "has 0 GPUs"), ("cpu", 0, "0 scans make")):
        with pytest.raises(ConfigError, match=message):
            library.embed(store, absent, device=device, batch_size=size)
        with pytest.raises(ConfigError, match=message):
            library.predict(store, absent, device=device, batch_size=size)
        step = library.EmbeddingTransformer(place / "weights", device=device, batch_size=size)
        with pytest.raises(ConfigError, match=message):
            step.transform(np.zeros((1, 25, 32, 32)))


def test_a_batch_that_does_not_fit_is_one_line_with_advice(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With torch's own error; no GPU is needed."""

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80 GiB.")

    monkeypatch.setattr(torch.nn.Conv3d, "forward", full)
    for source in ("store", "derivatives"):
        message = "the GPU's memory is full with 5 scans at once; give a smaller --batch-size"
        with pytest.raises(RunError, match=message):
            library.embed(place / source, place / "weights", batch_size=5)
        with pytest.raises(RunError, match="with 1 scans at once; use --device cpu"):
            library.embed(place / source, place / "weights", batch_size=1)
