"""The whole path of a recipe: phantoms or scans -> index -> store -> encoder -> report."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from neurofm.cohorts.failures import Failure
from neurofm.config.recipe import Recipe
from neurofm.errors import ConfigError, RunError
from neurofm.files import only_writer, read_json, write_json
from neurofm.progress import Progress


@dataclass(frozen=True, eq=False)
class Finished:
    """What one run of the whole path left behind.

    Attributes:
        indexed: the index of all scans, with their split.
        failures: the scans that could not be used, and why.
        evaluation: folder of embeddings, predictions and results.
        page: the report.
    """

    indexed: pd.DataFrame
    failures: tuple[Failure, ...]
    evaluation: Path
    page: Path


def run_recipe(
    recipe: Recipe, sources: Sequence[Path], folder: Path, workers: int, progress: Progress
) -> Finished:
    """Run every stage of `recipe` into `folder`; finished stages are kept and continued.

    Args:
        recipe: the experiment.
        sources: where the scans are; without any, the recipe's phantom cohort is made.
        folder: receives `index.parquet`, `derivatives/`, `store/`, `run/`, `evaluation/` and
            `stages.json` (seconds and peak memory of each stage).
        workers: processes that work on scans side by side.
        progress: shown the course of each stage.

    Raises:
        RunError: the folder holds another recipe's run, or no scan could be used.
    """
    with only_writer(folder):
        _claim(folder, recipe, sources)
        return _run_stages(recipe, sources, folder, workers, progress)


def _run_stages(
    recipe: Recipe, sources: Sequence[Path], folder: Path, workers: int, progress: Progress
) -> Finished:
    from neurofm.evaluation.protocol import evaluate
    from neurofm.preprocess.batch import preprocess_index
    from neurofm.reports.page import write_report
    from neurofm.store.packing import pack
    from neurofm.store.reader import open_store
    from neurofm.training.device import choose_device
    from neurofm.training.fit import pretrain

    stages = _Stages(folder / "stages.json")
    with stages.timed("index"):
        frame = _index(recipe, sources, folder, workers, progress)
    with stages.timed("preprocess"):
        done = preprocess_index(frame, folder / "derivatives", recipe.preprocess, workers, progress)
    if not done.finished + done.reused:
        raise RunError("no scan could be preprocessed", "see derivatives/failures.csv", folder)
    with stages.timed("pack"):
        packed = pack(folder / "derivatives", folder / "store", recipe.store, progress)
    store = open_store(folder / "store")
    with stages.timed("pretrain"):
        pretrain(recipe, store, folder / "run", choose_device("auto"), progress)
    with stages.timed("evaluate"):
        evaluate(recipe, store, folder / "run", folder / "evaluation", progress=progress)
    with stages.timed("report"):
        page = write_report(
            folder / "evaluation", folder / "run", folder / "evaluation" / "report.html"
        )
    failures = done.failures + packed.failures
    return Finished(frame, failures, folder / "evaluation", page)


def _index(
    recipe: Recipe, sources: Sequence[Path], folder: Path, workers: int, progress: Progress
) -> pd.DataFrame:
    from neurofm.cohorts.index import read_index, write_index
    from neurofm.cohorts.phantom import write_phantom_cohort
    from neurofm.cohorts.readers import index_sources
    from neurofm.cohorts.splits import assign_splits

    path = folder / "index.parquet"
    if path.is_file():
        return read_index(path)
    if not sources:
        write_phantom_cohort(folder / "phantoms", recipe.phantom, recipe.seed, progress, workers)
    indexed = index_sources(
        list(sources) or [folder / "phantoms"],
        progress=progress,
        volume_index=recipe.preprocess.volume_index,
        assume_orientation=recipe.preprocess.assume_orientation,
    )
    frame = assign_splits(indexed.frame, recipe.split, recipe.seed)
    write_index(frame, path)
    return frame


def _claim(folder: Path, recipe: Recipe, sources: Sequence[Path]) -> None:
    claim = {
        "recipe": recipe.model_dump(mode="json"),
        "sources": [str(source.resolve()) for source in sources],
    }
    missing = [str(source) for source in sources if not source.exists()]
    if missing:
        raise ConfigError("no such file or folder", "check --source", missing[0])
    path = folder / "workflow.json"
    if path.is_file() and read_json(path) != claim:
        raise RunError(
            "holds a run of another recipe or of other sources", "choose another -o", folder
        )
    write_json(path, claim)


class _Stages:
    """Seconds and peak memory of each stage, kept over continued runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, object]] = read_json(path) if path.is_file() else []

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._rows.append(
            {
                "stage": stage,
                "seconds": round(time.monotonic() - started, 1),
                "peak_memory_gb": round(_peak_memory_gb(), 2),
            }
        )
        write_json(self._path, self._rows)


def _peak_memory_gb() -> float:
    """The most memory this process and, apart, its largest child held so far, added up."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own + child) / 1024**2
