"""The whole path of a recipe: phantoms or scans -> index -> store -> encoder -> report."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from neurofm.cohorts.failures import Failure
from neurofm.config.objectives import SupervisedConfig
from neurofm.config.recipe import Recipe
from neurofm.config.study import StudyConfig
from neurofm.errors import ConfigError, RunError
from neurofm.files import only_writer, read_json, write_json
from neurofm.progress import Progress

if TYPE_CHECKING:
    from neurofm.preprocess.batch import BatchResult
    from neurofm.store.reader import Store


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


@dataclass(frozen=True, eq=False)
class Prepared:
    """Scans that are ready to be learnt from.

    Attributes:
        indexed: the index of all scans, with their split.
        failures: the scans that could not be used, and why.
        store: of the others.
    """

    indexed: pd.DataFrame
    failures: tuple[Failure, ...]
    store: Store


@dataclass(frozen=True, eq=False)
class Course:
    """What every stage needs to know.

    Attributes:
        recipe: of the preparation, and of a run of one recipe.
        sources: where the scans are; none: the recipe's phantoms.
        folder: of the run.
        workers: processes that work on scans side by side.
        progress: shown the course of each stage.
        tell: given each line that the user should read.
        require: given the divided index, of readable scans; raises where it does not say what the
            stages will ask of it.
    """

    recipe: Recipe
    sources: Sequence[Path]
    folder: Path
    workers: int
    progress: Progress
    tell: Callable[[str], None]
    require: Callable[[pd.DataFrame], None] = lambda _: None


def run_recipe(
    recipe: Recipe,
    sources: Sequence[Path],
    folder: Path,
    workers: int,
    progress: Progress,
    *,
    tell: Callable[[str], None] = lambda _: None,
) -> Finished:
    """Run every stage of `recipe` into `folder`; finished stages are kept and continued.

    With a supervised objective the encoder is trained on labels, and its test part evaluated.

    Args:
        recipe: the experiment.
        sources: where the scans are; without any, the recipe's phantom cohort is made.
        folder: receives `index.parquet` and its split, `index.split.json`; `derivatives/`,
            `store/`, `run/`, `evaluation/`; and `stages.json` (seconds and peak memory of each
            stage).
        workers: processes that work on scans side by side.
        progress: shown the course of each stage.
        tell: given each line that the user should read, as it arises: what is odd about the scans,
            and the page of their pictures.

    Raises:
        RunError: the folder holds another recipe's run, no scan could be used, or too few people
            are left for pre-training.
        TableError: the index lacks labels; see `require_labels_of`.
    """
    with only_writer(folder):
        claim(folder, recipe, sources)
        require = partial(_require, recipe)
        return _run_stages(Course(recipe, sources, folder, workers, progress, tell, require))


def _require(recipe: Recipe, index: pd.DataFrame) -> None:
    from neurofm.evaluation.label_door import require_labels_of
    from neurofm.training.fit import require_full_batch

    require_labels_of(recipe, index)
    if not isinstance(recipe.objective, SupervisedConfig):
        require_full_batch(recipe, index)


def _run_stages(course: Course) -> Finished:
    from neurofm.evaluation.protocol import evaluate
    from neurofm.reports.onlookers import ONLOOKERS
    from neurofm.reports.page import write_report
    from neurofm.training.device import choose_device
    from neurofm.training.fit import Manner, pretrain, train

    recipe, folder, progress = course.recipe, course.folder, course.progress
    stages = Stages(folder / "stages.json")
    prepared = prepare(course, stages)
    store = prepared.store
    has_labels = isinstance(recipe.objective, SupervisedConfig)
    learn = train if has_labels else pretrain
    with stages.timed("train" if has_labels else "pretrain"):
        how = Manner(tell=course.tell, onlookers=ONLOOKERS)
        learn(recipe, store, folder / "run", choose_device("auto"), progress, how=how)
    with stages.timed("evaluate"):
        evaluate(recipe, store, folder / "run", folder / "evaluation", progress=progress)
    with stages.timed("report"):
        page = write_report(
            folder / "evaluation", folder / "run", folder / "evaluation" / "report.html"
        )
    return Finished(prepared.indexed, prepared.failures, folder / "evaluation", page)


def prepare(course: Course, stages: Stages) -> Prepared:
    """Index, divide, preprocess and pack the scans; what is finished is kept."""
    from neurofm.store.packing import pack
    from neurofm.store.reader import open_store

    folder = course.folder
    with stages.timed("index"):
        frame = _index(course)
    with stages.timed("preprocess"):
        done = _preprocess(course, frame)
    with stages.timed("pack"):
        packed = pack(
            folder / "derivatives", folder / "store", course.recipe.store, course.progress
        )
    return Prepared(frame, done.failures + packed.failures, open_store(folder / "store"))


def _index(course: Course) -> pd.DataFrame:
    from neurofm.cohorts.frozen_split import drawn_by, freeze, frozen_path, write_frozen
    from neurofm.cohorts.index import read_index

    recipe, path = course.recipe, course.folder / "index.parquet"
    frame = read_index(path) if path.is_file() else _new_index(course, path)
    is_divided = bool(frame["split"].notna().all())
    if is_divided:
        write_frozen(freeze(frame, drawn_by(recipe.split, recipe.seed)), frozen_path(path))
    return frame


def _new_index(course: Course, path: Path) -> pd.DataFrame:
    from neurofm.cohorts.division import divide_index
    from neurofm.cohorts.failures import write_failures
    from neurofm.cohorts.index import write_index
    from neurofm.cohorts.phantom import write_phantom_cohort
    from neurofm.cohorts.readers import index_sources

    recipe, folder, progress = course.recipe, course.folder, course.progress
    if not course.sources:
        phantoms = folder / "phantoms"
        write_phantom_cohort(phantoms, recipe.phantom, recipe.seed, progress, course.workers)
    indexed = index_sources(list(course.sources) or [folder / "phantoms"], progress=progress)
    divided = divide_index(indexed.frame, recipe.split, recipe.seed)
    course.require(divided.frame[divided.frame["problem"].isna()])
    for note in (*indexed.notes, *divided.notes):
        course.tell(f"Note: {note}")
    for failure in indexed.failures:
        course.tell(str(failure))
    write_failures(indexed.failures, folder / "failures.csv")
    write_index(divided.frame, path)
    return divided.frame


def _preprocess(course: Course, frame: pd.DataFrame) -> BatchResult:
    from neurofm.preprocess.batch import preprocess_index
    from neurofm.reports.quality_page import write_quality_page

    derivatives = course.folder / "derivatives"
    done = preprocess_index(
        frame, derivatives, course.recipe.preprocess, course.workers, course.progress
    )
    for note in done.notes:
        course.tell(f"Note: {note}")
    course.tell(f"Prepared scans: {write_quality_page(derivatives)}")
    if not done.finished + done.reused:
        raise RunError(
            "no scan could be preprocessed", "see derivatives/failures.csv", course.folder
        )
    return done


def claim(folder: Path, what: Recipe | StudyConfig, sources: Sequence[Path]) -> None:
    """Take a folder for the run of a recipe or a study on some sources.

    Raises:
        ConfigError: a source does not exist.
        RunError: the folder holds another run.
    """
    claimed = {
        "recipe": what.model_dump(mode="json"),
        "sources": [str(source.resolve()) for source in sources],
    }
    missing = [str(source) for source in sources if not source.exists()]
    if missing:
        raise ConfigError("no such file or folder", "check --source", missing[0])
    path = folder / "workflow.json"
    if path.is_file() and read_json(path) != claimed:
        raise RunError(
            "holds a run of another recipe or of other sources", "choose another -o", folder
        )
    write_json(path, claimed)


class Stages:
    """Seconds and peak memory of each stage, one row a stage.

    A stage that was interrupted or repeated keeps its row: its seconds add up over `runs`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, Any]] = read_json(path) if path.is_file() else []

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Measure what is done inside as a stage."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._add(stage, time.monotonic() - started, _peak_memory_gb())
            write_json(self._path, self._rows)

    def _add(self, stage: str, seconds: float, peak_gb: float) -> None:
        row = next((row for row in self._rows if row["stage"] == stage), None)
        if row is None:
            row = {"stage": stage, "seconds": 0.0, "peak_memory_gb": 0.0, "runs": 0}
            self._rows.append(row)
        row["seconds"] = round(row["seconds"] + seconds, 1)
        row["peak_memory_gb"] = round(max(row["peak_memory_gb"], peak_gb), 2)
        row["runs"] = row.get("runs", 1) + 1


def _peak_memory_gb() -> float:
    """The most memory this process and, apart, its largest child held so far, added up."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own + child) / 1024**2
