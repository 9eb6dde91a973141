"""Does a masked autoencoder reconstruct better than the mean image and the nearest visible patch?

Usage: python benchmarks/reconstruction.py RUN --store STORE [--json]

Scans of the store that pre-training has not seen, hidden patches only, as one Markdown table. The
mean image is that of the scans pre-training saw. Intervals: bootstrap over participants, as are
those of the differences, which are paired.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neurofm.cohorts.index import participant_keys
from neurofm.commands.console import BarProgress
from neurofm.data.loader import ScanLoader
from neurofm.data.mean_image import mean_image
from neurofm.errors import RunError
from neurofm.evaluation.folds import participant_weights
from neurofm.evaluation.uncertainty import bootstrap, percentile_interval, resample_weights
from neurofm.inference.embed import require_fitting
from neurofm.inference.reconstruct import Autoencoder, load_autoencoder, seen_by
from neurofm.objectives.reconstruction import ReconstructedScan, reconstruct_scans
from neurofm.seeds import random_stream
from neurofm.store.reader import Store, open_store
from neurofm.training.device import choose_device

_PREDICTORS = ("model", "mean image", "nearest visible patch")
_PATCHES = ("all", "brain")
_RESAMPLES, _CONFIDENCE = 10_000, 0.95


def main() -> None:
    """Print the table, and with --json its numbers on the last line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    arguments = parser.parse_args()
    autoencoder, store = load_autoencoder(arguments.run), open_store(arguments.store)
    require_fitting(store.contract, store.spacing_mm, autoencoder.card, False)
    seen = seen_by(autoencoder.card, store)
    rows = sorted(set(range(len(store))) - set(seen))
    if not rows or not seen:
        raise RunError("needs scans that pre-training saw and scans it did not", "", store.folder)
    errors = _errors(autoencoder, store, rows, seen)
    people = np.unique(participant_keys(store.index.iloc[rows]), return_inverse=True)[1]
    print(f"{people.max() + 1} participants that pre-training has not seen, {len(rows)} scans; "
          f"the mean image is of {len(seen)} scans.\n")  # fmt: skip
    if autoencoder.model.config.normalise_patches:
        print("The model was told mean and deviation of each hidden patch.\n")
    found = {name: _summed_up(errors[name], people) for name in _PREDICTORS}
    for name in _PREDICTORS[1:]:
        found[f"{name} less model"] = _summed_up(errors[name] - errors["model"], people)
    _print_table(found)
    if arguments.json:
        counts = {"participants": int(people.max() + 1), "scans": len(rows), "seen": len(seen)}
        print(json.dumps(counts | {"mse": found}))


def _errors(
    autoencoder: Autoencoder, store: Store, rows: Sequence[int], seen: Sequence[int]
) -> dict[str, np.ndarray]:
    """For each predictor the errors of each scan: all hidden patches, those with brain."""
    mean, progress, device = mean_image(store, seen), BarProgress(), choose_device()
    progress.start("Reconstructing", len(rows), "scans")
    scans: list[tuple[tuple[float, float], ...]] = []
    for batch in ScanLoader(store).batches([[row] for row in rows]):
        scans += [
            _of(each) for each in reconstruct_scans(autoencoder.model, batch.to(device), mean)
        ]
        progress.advance()
    progress.finish()
    return dict(zip(_PREDICTORS, np.array(scans).transpose(1, 0, 2), strict=True))


def _of(scan: ReconstructedScan) -> tuple[tuple[float, float], ...]:
    errors = (scan.model, scan.mean_image, scan.nearest_visible)
    return tuple((each.all_patches, each.brain_patches) for each in errors if each)


def _summed_up(errors: np.ndarray, people: np.ndarray) -> dict[str, dict[str, float]]:
    """Mean over participants, each their scans' mean, with its interval."""
    found = {}
    for name, values in zip(_PATCHES, errors.T, strict=True):
        stream = random_stream("reconstruction bootstrap", 0)
        weights = resample_weights(people, np.zeros_like(people), _RESAMPLES, stream)
        means = bootstrap(lambda each, of=values: each @ of / each.sum(axis=1), weights)
        interval = percentile_interval(means, _CONFIDENCE)
        value = np.average(values, weights=participant_weights(people))
        found[name] = {"value": float(value), "low": interval.low, "high": interval.high}
    return found


def _print_table(found: dict[str, dict[str, dict[str, float]]]) -> None:
    print(
        "| mean squared error | all hidden patches | 95 % interval | with brain | 95 % interval |"
    )
    print("| --- | --- | --- | --- | --- |")
    for name, of in found.items():
        cells = [f"{one['value']:.4f} | {one['low']:.4f} to {one['high']:.4f}"
                 for one in (of[patches] for patches in _PATCHES)]  # fmt: skip
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
