"""Does quality control see spoiled scans and spoiled results, and leave good ones alone?

python benchmarks/bench_quality_gate.py [SCANS] (default ../shared/scans); about 30 minutes
python benchmarks/bench_quality_gate.py --phantoms; the same on three simulated heads, 3 minutes
python benchmarks/bench_quality_gate.py --strokes; do 24 simulated strokes pass? 2 minutes

Results are spoiled after preprocessing, as a wrong registration would; scans before it, under an
unchanged header. Caught means "look", "fail" or an error.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from real_scans import coarse_heads, scans_folder, stripped_heads, whole_heads
from scipy import ndimage

from neurofm.cohorts.phantom import write_phantom_cohort
from neurofm.config import PhantomConfig, PreprocessConfig
from neurofm.errors import ScanError
from neurofm.preprocess.pipeline import Prepared, prepare_scan
from neurofm.preprocess.quality import judge
from neurofm.preprocess.template_space import template_space
from neurofm.volumes.nifti import read_volume, write_volume
from neurofm.volumes.volume import Volume

Array = npt.NDArray[np.float32]
CONFIG = PreprocessConfig(spacing_mm=3.0)
_NOISE = np.random.default_rng(0)


def moves() -> Iterator[tuple[str, Callable[[Array], Array]]]:
    """Ways in which a head can be put in the wrong place or pose."""
    yield "upside down", lambda image: image[:, :, ::-1]
    yield "front to back", lambda image: image[:, ::-1]
    for axes, name in (((0, 1), "z"), ((0, 2), "y"), ((1, 2), "x")):
        yield f"a quarter turn about {name}", _quarter_turn(axes)


def losses() -> Iterator[tuple[str, Callable[[Array], Array]]]:
    """Ways in which the image itself can be useless."""
    yield "contrast of a T2", lambda image: np.where(image > 0, image.max() * 1.02 - image, 0)
    yield "noise alone", lambda image: np.where(image > 0, _uniform(image), 0)
    yield "buried in noise", lambda image: np.where(image > 0, np.abs(image + _normal(image)), 0)
    for axis, name in enumerate(("left-right", "back-front", "lower-upper")):
        yield f"half missing, {name}", _without_half(axis)


def main(scans: Path) -> None:
    """Spoil real scans of three sites."""
    count_caught([*whole_heads(scans)[:4], *stripped_heads(scans)[:4], *coarse_heads(scans)[:2]])


def main_on_phantoms() -> None:
    """Spoil simulated heads, each of another scanner."""
    config = PhantomConfig(participants=3, spacing_mm=2.0, repeat_fraction=0)
    with tempfile.TemporaryDirectory() as folder:
        write_phantom_cohort(Path(folder), config, seed=1)
        count_caught(sorted(Path(folder).glob("sub-*/anat/*_T1w.nii.gz")))


def main_on_strokes() -> None:
    """Print the verdicts on simulated brains with a lesion on one side."""
    config = PhantomConfig(
        participants=24, spacing_mm=3.0, stripped=True, repeat_fraction=0,
        mci_fraction=0, ad_fraction=0, stroke_fraction=1,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        write_phantom_cohort(Path(folder), config, seed=1)
        found = [
            prepare_scan(path, CONFIG).quality
            for path in sorted(Path(folder).glob("sub-*/anat/*_T1w.nii.gz"))
        ]
    print(dict(Counter(quality.verdict for quality in found)))
    print(f"inner correlation at least {min(quality.inner_correlation for quality in found):.2f}")


def count_caught(good: Sequence[Path]) -> None:
    """Print how many of each kind were caught; scans are spoiled of every third person."""
    caught, tried = Counter[str](), Counter[str]()
    for path in good:
        prepared = prepare_scan(path, CONFIG)
        print(path.name, prepared.quality.verdict, flush=True)
        for name, verdict in _spoiled_results(prepared):
            tried[f"result: {name}"] += 1
            caught[f"result: {name}"] += verdict != "pass"
    for path in good[::3]:
        for name, verdict in _spoiled_scans(path):
            print(path.name, name, verdict, flush=True)
            tried[f"scan: {name}"] += 1
            caught[f"scan: {name}"] += verdict != "pass"
    for name in tried:
        print(f"{name}: {caught[name]} of {tried[name]} caught")
    print(f"all: {sum(caught.values())} of {sum(tried.values())} caught")


def _spoiled_results(prepared: Prepared) -> Iterator[tuple[str, str]]:
    image = np.asarray(prepared.image.array, dtype=np.float32)
    image = (image - prepared.stripe.background) * (np.asarray(prepared.tissue.array) > 0)
    tissue = np.asarray(prepared.tissue.array)
    for name, spoil in moves():
        yield name, _verdict(spoil(image), spoil(tissue.astype(np.float32)))
    step = round(30 / CONFIG.spacing_mm)
    for axis in range(3):
        for sign in (-1, 1):
            moved = [ndimage.shift(a, np.eye(3)[axis] * sign * step, order=0)
                     for a in (image, tissue.astype(np.float32))]  # fmt: skip
            yield "30 mm aside", _verdict(*moved)
    for name, spoil in losses():
        spoiled = spoil(image).astype(np.float32)
        yield name, _verdict(spoiled, np.where(spoiled > 0, tissue, 0).astype(np.float32))


def _verdict(image: Array, tissue: Array) -> str:
    space = template_space("nilearn", CONFIG.spacing_mm)
    labels = np.rint(tissue).astype(np.uint8)
    return judge(np.ascontiguousarray(image), labels, np.eye(4), space).verdict


def _spoiled_scans(path: Path) -> Iterator[tuple[str, str]]:
    scan = read_volume(path).volume
    array = np.maximum(np.asarray(scan.array, dtype=np.float32), 0)
    with tempfile.TemporaryDirectory() as folder:
        for name, spoil in (*moves(), *losses()):
            spoiled = Path(folder) / "spoiled.nii.gz"
            write_volume(spoiled, Volume(spoil(array).astype(np.float32), scan.affine))
            try:
                yield name, prepare_scan(spoiled, CONFIG).quality.verdict
            except ScanError as error:
                yield name, f"refused ({error.kind})"


def _quarter_turn(axes: tuple[int, int]) -> Callable[[Array], Array]:
    return lambda image: ndimage.rotate(image, 90, axes=axes, reshape=False, order=0)


def _without_half(axis: int) -> Callable[[Array], Array]:
    def cut(image: Array) -> Array:
        occupied = np.flatnonzero((image > 0).any(axis=tuple({0, 1, 2} - {axis})))
        kept = image.copy()
        kept[(slice(None),) * axis + (slice(int(occupied.mean()), None),)] = 0
        return kept

    return cut


def _uniform(image: Array) -> Array:
    return (_NOISE.random(image.shape) * np.percentile(image, 99.5)).astype(np.float32)


def _normal(image: Array) -> Array:
    return _NOISE.normal(0, 0.5 * np.percentile(image, 99.5), image.shape).astype(np.float32)


if __name__ == "__main__":
    if "--phantoms" in sys.argv:
        main_on_phantoms()
    elif "--strokes" in sys.argv:
        main_on_strokes()
    else:
        main(scans_folder())
