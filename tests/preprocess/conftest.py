"""A stripped scan made of the template: tilted, shaded, noisy, coarse; its truth is known."""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial.transform import Rotation

from neurofm.config import PreprocessConfig
from neurofm.preprocess.pipeline import Prepared, prepare_scan
from neurofm.preprocess.registration import register
from neurofm.preprocess.resampling import resample
from neurofm.preprocess.template_space import coarse_template
from neurofm.volumes.grids import Grid
from neurofm.volumes.nifti import write_volume
from neurofm.volumes.template import packaged_template
from neurofm.volumes.volume import Volume

SPACING_MM = 4.0


@pytest.fixture(scope="session")
def to_template() -> npt.NDArray[np.float64]:
    """The transform, scan mm -> template mm, that the simulated scan was made with."""
    transform = np.eye(4)
    transform[:3, :3] = Rotation.from_euler("xyz", (12, -5, 8), degrees=True).as_matrix()
    transform[:3, 3] = (6, -9, 14)
    return transform


@pytest.fixture(scope="session")
def known_scan(to_template: npt.NDArray[np.float64]) -> Volume:
    from_template = np.linalg.inv(to_template)
    affine = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    centre = from_template[:3, :3] @ np.array([0, -16, 8]) + from_template[:3, 3]
    affine[:3, 3] = centre - SPACING_MM * 28
    grid = Grid((56, 56, 56), affine)
    clean = 800 * resample(packaged_template("t1"), grid, from_template)
    noise = np.random.default_rng(0).normal(0, 15, grid.shape)
    shade = np.exp(0.3 * np.linspace(-1, 1, grid.shape[0]))[:, None, None]
    noisy = np.where(clean > 100, np.maximum(clean * shade + noise, 1), 0)
    return Volume(noisy.astype(np.float32), affine)


@pytest.fixture
def scan_file(known_scan: Volume, tmp_path: Path) -> Path:
    path = tmp_path / "scan.nii.gz"
    write_volume(path, known_scan)
    return path


@pytest.fixture(scope="session")
def known_scan_file(known_scan: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as `scan_file`, for tests that share what comes of it and do not change it."""
    path = tmp_path_factory.mktemp("known") / "scan.nii.gz"
    write_volume(path, known_scan)
    return path


@pytest.fixture(scope="session")
def quick_config() -> PreprocessConfig:
    return PreprocessConfig(
        spacing_mm=6.0, bias_field_spacing_mm=6.0, bias_field_shrink=2, registration_spacing_mm=4.0
    )


@pytest.fixture(scope="session")
def prepared(known_scan_file: Path, quick_config: PreprocessConfig) -> Prepared:
    """What comes of the simulated scan."""
    return prepare_scan(known_scan_file, quick_config)


@pytest.fixture(scope="session")
def registered(known_scan: Volume) -> npt.NDArray[np.float64]:
    """The simulated scan's rigid registration to the template at 4 mm."""
    return register(known_scan, coarse_template("nilearn", 4.0), "rigid")


@pytest.fixture
def play_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Put a small Python program onto a PATH that holds nothing else: play_program(name, body)."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("FREESURFER_HOME", raising=False)

    def play(name: str, body: str) -> Path:
        path = folder / name
        path.write_text(f"#!{sys.executable}\nimport sys\n{body}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return play


@pytest.fixture
def bad_scans(tmp_path: Path) -> Callable[[Path], dict[str, Path]]:
    """A maker of fifteen scans that each have one fault, from a good one."""

    def make(good: Path) -> dict[str, Path]:
        packed = good.read_bytes()
        raw = gzip.decompress(packed)
        broken = {
            "empty": b"",
            "short10": packed[: len(packed) // 10],
            "short99": packed[: len(packed) * 99 // 100],
            "untailed": packed[:-8],
            "miscounted": packed[:-8] + bytes(4) + packed[-4:],
            "flipped": packed[:5000] + bytes([packed[5000] ^ 255]) + packed[5001:],
            "webpage": b"<!DOCTYPE html><html><body>404</body></html>",
            "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "header": gzip.compress(raw[:352]),
            "series": gzip.compress(patched(raw, 40, np.array([4, 56, 56, 56, 2], "<i2")) + raw),
            "huge": gzip.compress(patched(raw, 40, np.array([3, *[30000] * 3], "<i2"))),
            "complex": gzip.compress(patched(raw, 70, np.array([32, 64], "<i2"))),
            "lost": gzip.compress(patched(raw, 280, np.full(12, np.nan, "<f4"))),
            "dark": gzip.compress(raw[:352] + bytes(len(raw) - 352)),
        }
        paths = {name: tmp_path / f"{name}.nii.gz" for name in [*broken, "fifo"]}
        for name, data in broken.items():
            paths[name].write_bytes(data)
        os.mkfifo(paths["fifo"])
        return paths

    return make


def patched(raw: bytes, offset: int, values: npt.NDArray[np.generic]) -> bytes:
    data = values.tobytes()
    return raw[:offset] + data + raw[offset + len(data) :]
