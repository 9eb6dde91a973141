"""Measure how often intervals, sets and distances of `neurofm predict` keep their word on phantoms.

Simulated brains are laid on the template grid at 6 mm, packed, and divided again and again: whole
runs of `neurofm train` predict the people of their test parts, alone and as ensembles of seeds; and
linear heads on features of a random encoder do the same over many more divisions. Of all that is
said of unseen people, the shares whose truth is inside should be within 3 points of the level; sets
of classes may hold it more often.

Usage: OMP_NUM_THREADS=1 python benchmarks/bench_conformal.py [--work DIR] [--people N]
       [--divisions N] [--heads N] [--json]
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import affine_transform
from scipy.stats import kstest
from torch.nn import functional

from neurofm.cohorts.index import write_index
from neurofm.cohorts.phantom import write_phantom_cohort
from neurofm.cohorts.readers import index_sources
from neurofm.config import PhantomConfig, PreprocessConfig
from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import Recipe, check_recipe
from neurofm.config.tuning import ChoosingConfig
from neurofm.inference.predict import predict_table
from neurofm.models.conformal import class_sets, conformity_errors, score_limit
from neurofm.models.embeddings import embed_store
from neurofm.models.encoder import build_encoder
from neurofm.models.head import HeadCard, build_head, predictions
from neurofm.models.population import population_in
from neurofm.models.weights import encoder_of, load_weights
from neurofm.preprocess.contract import contract_of, write_contract
from neurofm.progress import SilentProgress
from neurofm.store.packing import pack
from neurofm.store.reader import Store, open_store
from neurofm.training.conformity import Judged, honest_scores
from neurofm.training.fit import train
from neurofm.training.run_folder import is_finished
from neurofm.training.task import Task, build_task
from neurofm.volumes.grids import template_grid
from neurofm.volumes.nifti import read_volume, write_volume
from neurofm.volumes.volume import Volume

LEVELS = (0.8, 0.9)
_CENTRE_MM = (0.0, -20.0, 10.0)  # of a brain in the template
SEEDS = 2  # members of an ensemble
_CPU, _SILENT = torch.device("cpu"), SilentProgress()
_EPOCHS, _REPEATS = 60, 100


@dataclass(frozen=True)
class Covered:
    """Shares of unseen people in percent, by level, and how many people were looked at."""

    name: str
    shares: dict[float, float]
    people: int

    def line(self) -> str:
        """For a reader."""
        said = ", ".join(f"{100 * level:.0f} %: {100 * found:.1f} %"
                         for level, found in self.shares.items())  # fmt: skip
        return f"  {self.name:52} {said} ({self.people} predictions)"


def recipe_of(target: str, division: int, seed: int) -> Recipe:
    """A small supervised run of one division of the people."""
    values = {
        "name": "conformal", "seed": seed, "store": {"spacing_mm": 6},
        "encoder": {"widths": [8, 16, 32, 64], "stem_stride": 2},
        "objective": {"kind": "supervised", "target": target},
        "split": {"task_seed": division, "task_test_fraction": 0.4,
                  "task_validation_fraction": 0.2},
        "training": {"epochs": 10, "batch_size": 8, "learning_rate": 1e-3},
        "health": {"probe_epochs": 0},
        "views": {"min_crop_mm": [150, 192, 192], "rotation_radians": 0.1},
    }  # fmt: skip
    return check_recipe(values, "bench_conformal")


def phantom_store(work: Path, people: int) -> Store:
    """Brains without skull, one scan each, laid on the template grid by their centres."""
    config = PhantomConfig(participants=people, spacing_mm=4.0, stripped=True, repeat_fraction=0)
    derivatives = work / "derivatives"
    if not (derivatives / "index.parquet").is_file():
        write_phantom_cohort(work / "phantoms", config, 0)
        frame = index_sources([work / "phantoms"], verify=False).frame
        _lay_on_grid(frame, derivatives)
    pack(derivatives, work / "store", StoreConfig(spacing_mm=6.0))
    return open_store(work / "store")


def whole_runs(store: Store, work: Path, target: str, divisions: int) -> list[Covered]:
    """Runs of `neurofm train` and what `neurofm predict` says of their test parts."""
    alone: dict[float, list[bool]] = {level: [] for level in LEVELS}
    together: dict[float, list[bool]] = {level: [] for level in LEVELS}
    for division in range(divisions):
        recipe = recipe_of(target, division, 0)
        task = build_task(store.index, recipe.objective, recipe.split)  # type: ignore[arg-type]
        runs = [work / "runs" / f"{target}-{division}-{seed}" for seed in range(SEEDS)]
        for seed, run in enumerate(runs):
            if not is_finished(run):
                train(recipe_of(target, division, seed), store, run, _CPU)
        for level in LEVELS:
            for run in runs:
                alone[level] += _holds_truth(store, [run], task, level)
            together[level] += _holds_truth(store, runs, task, level)
    return [
        _covered(f"{target}, one run of neurofm train", alone),
        _covered(f"{target}, {SEEDS} seeds together", together),
    ]


def linear_heads(store: Store, target: str, draws: int) -> list[Covered]:
    """Heads on the features of a random encoder; scores with and without regard to the choice."""
    encoder = build_encoder(recipe_of(target, 0, 0).encoder, seed=0, spacing_mm=6.0)
    features = embed_store(encoder, store, range(len(store)), _CPU, _SILENT)
    features = (features - features.mean(0)) / (features.std(0) + 1e-6)
    read = torch.from_numpy(features.astype(np.float32))
    honest: dict[float, list[bool]] = {level: [] for level in LEVELS}
    flattered: dict[float, list[bool]] = {level: [] for level in LEVELS}
    for draw in range(draws):
        recipe = recipe_of(target, draw, draw)
        task = build_task(store.index, recipe.objective, recipe.split)  # type: ignore[arg-type]
        epochs, said = _fit_head(read, task, draw)
        known = _known(task, task.validation)
        own = ChoosingConfig(validation_metric="loss")
        losses = [epoch.losses.mean() for epoch in epochs]
        best = int(np.argmin(losses))
        scores = honest_scores(task, own, epochs).scores
        chosen = conformity_errors(known, epochs[best].said, task.head).tolist()
        for level in LEVELS:
            for kept, found in ((scores, honest), (chosen, flattered)):
                limit = score_limit(kept, level)
                found[level] += _within(said[best], _known(task, task.test), task, limit)
    return [
        _covered(f"{target}, linear heads", honest),
        _covered(f"{target}, linear heads, choice disregarded", flattered),
    ]


def simulated_choice(people: int, epochs: int = 100, shared: float = 0.5) -> list[Covered]:
    """Epochs of equal worth, of which validation chooses one: what that does to 90 %.

    Args:
        people: of the validation part.
        epochs: whose errors are normal.
        shared: how much of their variance is the same in all epochs.
    """
    stream = np.random.default_rng(people)
    frame = pd.DataFrame({"cohort": "c", "participant_id": np.arange(people).astype(str)})
    frame = frame.assign(scan_id=frame["participant_id"], sha256=frame["participant_id"])
    head = HeadCard(target="x", kind="regression")
    task = Task(head, dict.fromkeys(range(people), 0.0), (), frame, frame, frame, ())
    honest: dict[float, list[bool]] = {0.9: []}
    flattered: dict[float, list[bool]] = {0.9: []}
    for _ in range(_REPEATS):
        errors = [
            np.sqrt(1 - shared) * stream.normal(size=(epochs, count))
            + np.sqrt(shared) * stream.normal(size=count)
            for count in (people, 500)
        ]
        best = int(np.square(errors[0]).mean(axis=1).argmin())
        judged = [Judged(row[:, None], np.square(row)) for row in errors[0]]
        plain = np.abs(errors[0][best]).tolist()
        for scores, found in (
            (honest_scores(task, ChoosingConfig(), judged).scores, honest),
            (plain, flattered),
        ):
            inside = np.abs(errors[1][best]) <= score_limit(scores, 0.9)
            found[0.9] += inside.tolist()
    name = f"simulated, {people} people choose of {epochs} epochs"
    return [_covered(name, honest), _covered(f"{name}, disregarded", flattered)]


def distances(store: Store, run: Path) -> dict[str, float]:
    """Percentiles of unseen people, and of images that are no such brains."""
    recipe = recipe_of("age_years", 0, 0)
    task = build_task(store.index, recipe.objective, recipe.split)  # type: ignore[arg-type]
    weights = load_weights(run)
    population, encoder = population_in(weights.state), encoder_of(weights)
    assert population is not None
    table = predict_table([store.folder], [run]).table
    unseen = pd.concat([task.test, task.validation])["scan_id"]
    new = table.loc[table["scan_id"].isin(unseen), "distance_percentile"].to_numpy()
    others = {}
    for kind in ("noise", "contrast flipped"):
        images = torch.from_numpy(_no_brains(store, task.test.index[:40].tolist(), kind))
        with torch.inference_mode():
            found = population.distances_of(encoder(images).numpy())
        percentiles = population.percentiles_of(found)
        others[f"{kind}, median percentile"] = float(np.median(percentiles))
        others[f"{kind}, share above 95"] = float((percentiles > 95).mean())
    return {
        "participants a scan is measured by": len(population.distances),
        "unseen people": len(new),
        "mean percentile of unseen people": float(new.mean()),
        "share of them above 95": float((new > 95).mean()),
        "Kolmogorov-Smirnov distance from uniform": float(kstest(new / 100, "uniform").statistic),
        **others,
    }


def _lay_on_grid(frame: pd.DataFrame, folder: Path) -> None:
    contract, grid = contract_of(PreprocessConfig(spacing_mm=6)), template_grid(6.0)
    rows = []
    for number, row in enumerate(frame.to_dict("records")):
        scan = read_volume(Path(str(row["path"]))).volume
        centre_mm = scan.affine[:3] @ [*np.mean(np.nonzero(scan.array), axis=1), 1]
        moved = grid.affine.copy()
        moved[:3, 3] += centre_mm - _CENTRE_MM
        to_voxel = np.linalg.inv(scan.affine) @ moved
        image, share = (
            affine_transform(each, to_voxel[:3, :3], to_voxel[:3, 3], grid.shape, order=1)
            for each in (scan.array, (scan.array > 0).astype(np.float32))
        )
        inside = share > 0.5
        names = {"image_path": f"{number}.nii.gz", "brain_mask_path": f"{number}_mask.nii.gz"}
        write_volume(folder / names["image_path"], Volume(image.astype(np.float32), grid.affine))
        write_volume(folder / names["brain_mask_path"], Volume(inside, grid.affine), np.uint8)
        rows.append(row | names | {"verdict": "pass", "sha256": f"{number:064d}"})
    write_contract(folder, contract)
    write_index(pd.DataFrame(rows), folder / "index.parquet")


def _fit_head(read: torch.Tensor, task: Task, seed: int) -> tuple[list[Judged], list[np.ndarray]]:
    """Each epoch's judgement of the validation part, and what it says of the test part."""
    layer = build_head(read.shape[1], task.head.outputs, seed)
    optimizer = torch.optim.Adam(layer.parameters(), 0.02)
    parts = (task.train, task.validation, task.test)
    inputs = [read[[int(row) for row in part.index]] for part in parts]
    truth = [torch.from_numpy(_known(task, part).astype(np.float32)) for part in parts]
    epochs, said = [], []
    for _ in range(_EPOCHS):
        optimizer.zero_grad()
        _losses(layer(inputs[0]), truth[0], task).mean().backward()
        optimizer.step()
        with torch.inference_mode():
            outputs = layer(inputs[1])
            losses = _losses(outputs, truth[1], task).numpy().astype(np.float64)
            epochs.append(Judged(predictions(outputs, task.head).double().numpy(), losses))
            said.append(predictions(layer(inputs[2]), task.head).double().numpy())
    return epochs, said


def _losses(outputs: torch.Tensor, truth: torch.Tensor, task: Task) -> torch.Tensor:
    if task.head.kind == "regression":
        return (outputs[:, 0] - (truth - task.head.mean) / task.head.spread).square()
    if task.head.kind == "binary":
        return functional.binary_cross_entropy_with_logits(outputs[:, 0], truth, reduction="none")
    return functional.cross_entropy(outputs, truth.long(), reduction="none")


def _holds_truth(store: Store, runs: Sequence[Path], task: Task, level: float) -> list[bool]:
    table = predict_table([store.folder], runs, level=level).table
    table = table.loc[task.test.index]
    known = _known(task, task.test)
    if task.head.kind == "regression":
        return ((table["low"] <= known) & (known <= table["high"])).tolist()
    named = [task.head.classes[int(value)] for value in known]
    return [name in found.split() for name, found in zip(named, table["set"], strict=True)]


def _within(said: np.ndarray, known: np.ndarray, task: Task, limit: float) -> list[bool]:
    if task.head.kind == "regression":
        return [bool(each) for each in np.abs(known - said[:, 0]) <= limit]
    return [int(one) in found for one, found in zip(known, class_sets(said, limit), strict=True)]


def _known(task: Task, part: pd.DataFrame) -> np.ndarray:
    return np.array([task.values[int(row)] for row in part.index])


def _no_brains(store: Store, rows: Sequence[int], kind: str) -> np.ndarray:
    stream, images = np.random.default_rng(0), []
    for row in rows:
        offset, step = store.scale(row)
        image, inside = offset + step * store.image(row).astype(np.float32), store.mask(row)
        if kind == "noise":
            image = stream.normal(size=image.shape).astype(np.float32)
        within = image[inside]
        zscored = np.where(inside, (image - within.mean()) / within.std(), 0)
        images.append(-zscored if kind == "contrast flipped" else zscored)
    return np.stack(images)[:, None].astype(np.float32)


def _covered(name: str, found: dict[float, list[bool]]) -> Covered:
    shares = {level: float(np.mean(inside)) for level, inside in found.items()}
    return Covered(name, shares, len(next(iter(found.values()))))


def measure(work: Path, people: int, divisions: int, heads: int) -> tuple[list[Covered], dict]:
    """All figures; prints them as they come."""
    store, found = phantom_store(work, people), []
    for count in (20, 40, 100):
        for covered in simulated_choice(count):
            print(covered.line(), flush=True)
            found.append(covered)
    for target in ("age_years", "sex"):
        for some in (lambda t=target: linear_heads(store, t, heads),
                     lambda t=target: whole_runs(store, work, t, divisions)):  # fmt: skip
            for covered in some():
                print(covered.line(), flush=True)
                found.append(covered)
    far = distances(store, work / "runs" / "age_years-0-0")
    for name, value in far.items():
        print(f"  {name:52} {value:.3g}", flush=True)
    return found, far


def main() -> None:
    """Print the shares of every setting."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--work", type=Path, help="keep scans and runs here, and find them again")
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--divisions", type=int, default=6, help="of the people, for whole runs")
    parser.add_argument("--heads", type=int, default=40, help="divisions for linear heads")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    given = parser.parse_args()
    started = time.perf_counter()
    print(f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()}, {given.people} simulated people")
    with tempfile.TemporaryDirectory(prefix="neurofm-conformal-") as temporary:
        work = given.work or Path(temporary)
        found, far = measure(work, given.people, given.divisions, given.heads)
    print(f"{time.perf_counter() - started:.0f} s")
    if given.json:
        shares = {each.name: {str(level): share for level, share in each.shares.items()}
                  for each in found}  # fmt: skip
        print(json.dumps({"covered": shares, "distances": far}))


if __name__ == "__main__":
    main()
