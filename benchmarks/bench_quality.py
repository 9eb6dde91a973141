"""Seconds to draw a scan's picture, and seconds and size of the page of 1,000 scans.

python benchmarks/bench_quality.py [--json]
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from neurofm.cohorts.index import COLUMNS, write_index
from neurofm.config import PreprocessConfig
from neurofm.files import write_bytes, write_json
from neurofm.preprocess.contract import contract_of, write_contract
from neurofm.preprocess.picture import draw_check, thumbnail
from neurofm.preprocess.quality import LIMITS
from neurofm.preprocess.template_space import template_space
from neurofm.reports.quality_page import write_quality_page
from neurofm.versions import software_record

SCANS, PICTURES, COHORTS = 1000, 10, 4


def main() -> None:
    """Draw noisy templates, pretend they are scans of four cohorts, write both pages."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}")
    stream = np.random.default_rng(0)
    pictures = [drawn(stream) for _ in range(PICTURES)]
    size_kb = np.mean([len(picture) for picture, _ in pictures]) / 1000
    seconds = np.median([seconds for _, seconds in pictures])
    small_kb = np.mean([len(thumbnail(picture) or b"") for picture, _ in pictures]) / 1000
    print(f"picture: {seconds:.3f} s of CPU, {size_kb:.0f} kB; thumbnail {small_kb:.1f} kB")
    record = {"picture_s": float(seconds), "picture_kb": float(size_kb)}
    with tempfile.TemporaryDirectory() as folder:
        derivatives = Path(folder)
        write_derivatives(derivatives, [picture for picture, _ in pictures], stream)
        for ids in (True, False):
            started = time.process_time()
            page = write_quality_page(derivatives, ids=ids)
            taken, size_mb = time.process_time() - started, page.stat().st_size / 1e6
            print(f"page of {SCANS} scans, ids={ids}: {taken:.1f} s of CPU, {size_mb:.1f} MB")
            name = "page" if ids else "page_without_ids"
            record |= {f"{name}_s": taken, f"{name}_mb": size_mb}
    if arguments.json:
        print(json.dumps(record))


def drawn(stream: np.random.Generator) -> tuple[bytes, float]:
    """The picture of a noisy template at 1 mm, and the seconds it took."""
    space = template_space("nilearn", 1.0)
    brain = np.asarray(space.brain.array, dtype=bool)
    tissue = np.where(brain, space.priors.argmax(axis=0) + 1, 0).astype(np.uint8)
    noise = stream.normal(0, 0.04, brain.shape).astype(np.float32)
    image = np.where(brain, space.image.array + noise, 0).astype(np.float32)
    started = time.process_time()
    picture = draw_check(image, tissue, brain, "look: correlation with the template 0.70")
    return picture, time.process_time() - started


def write_derivatives(folder: Path, pictures: list[bytes], stream: np.random.Generator) -> None:
    """What `neurofm preprocess` leaves behind, without the images."""
    rows = []
    for number in range(SCANS):
        cohort, participant = f"cohort-{number % COHORTS}", f"{number:04d}"
        stem = f"{cohort}/sub-{participant}/anat/sub-{participant}_desc"
        verdict = "fail" if number % 40 == 0 else "look" if number % 10 == 0 else "pass"
        reasons = [] if verdict == "pass" else ["correlation with the template 0.61"]
        numbers = {limit.name: value_near(limit.look, stream) for limit in LIMITS}
        record = {
            "quality": {"verdict": verdict, "reasons": reasons, **numbers},
            "notes": [],
            "software": software_record(),
            "outputs": {f"sub-{participant}_desc-check.png": {}},
        }
        write_json(folder / f"{stem}-preproc_T1w.json", record)
        write_bytes(folder / f"{stem}-check.png", pictures[number % PICTURES])
        row = {"scan_id": f"{cohort}_{participant}", "cohort": cohort, "verdict": verdict}
        row |= {"participant_id": participant, "path": f"/data/{participant}.nii.gz"}
        rows.append(dict.fromkeys(COLUMNS) | row | {"image_path": f"{stem}-preproc_T1w.nii.gz"})
    write_index(pd.DataFrame(rows), folder / "index.parquet")
    write_contract(folder, contract_of(PreprocessConfig()))


def value_near(bounds: tuple[float, float], stream: np.random.Generator) -> float:
    """A value mostly inside its limits."""
    low = bounds[0]
    high = bounds[1] if np.isfinite(bounds[1]) else low + 5
    return round(float(stream.normal((low + high) / 2, (high - low) / 6)), 4)


if __name__ == "__main__":
    main()
