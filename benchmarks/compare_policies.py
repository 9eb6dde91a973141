"""Does pre-training help, and by which views? Five pre-trainings a policy against random encoders.

Usage: python benchmarks/compare_policies.py WORK [--seeds 5] [--workers 2] [key=value ...]
       python benchmarks/compare_policies.py WORK --source FOLDER ... --policy NAME=RECIPE ...

Simulated people (recipes phantom-paper, phantom-anatomy) unless sources are given. Both policies
share one store, one split and one set of held-out people. Finished parts in WORK are kept, so the
same command goes on after an interruption. Some hours on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from neurofm.cohorts.phantom import write_phantom_cohort
from neurofm.cohorts.readers import index_sources
from neurofm.cohorts.splits import assign_splits
from neurofm.commands.console import BarProgress
from neurofm.config.recipe import Recipe, load_recipe
from neurofm.evaluation.baselines import PRETRAINED, RANDOM, Model
from neurofm.evaluation.given import Given
from neurofm.evaluation.opening import open_evaluation
from neurofm.evaluation.probing import probe_tasks
from neurofm.evaluation.results import tabulate
from neurofm.models.embeddings import embed_store
from neurofm.preprocess.batch import preprocess_index
from neurofm.reports.onlookers import ONLOOKERS
from neurofm.store.packing import pack
from neurofm.store.reader import Store, open_store
from neurofm.training.device import choose_device
from neurofm.training.fit import Manner, pretrain

_PHANTOM_POLICIES = ("paper=phantom-paper", "anatomy=phantom-anatomy")
_REAL_POLICIES = ("paper=real-scans",)
# Alzheimer's patients are compared with healthy people of their ages only.
_YOUNGEST_PATIENT_YEARS = 58
_TASKS = ["age_years", "sex", "ad", "nihss"]


def main() -> None:
    """Print a table of results and one of differences; keep all numbers in WORK."""
    arguments = _arguments()
    work, progress = arguments.work, BarProgress()
    names = arguments.policy or (_REAL_POLICIES if arguments.source else _PHANTOM_POLICIES)
    policies = dict(name.split("=", 1) for name in names)
    recipes = {
        name: load_recipe(recipe, tuple(arguments.overrides)) for name, recipe in policies.items()
    }
    store = _store(next(iter(recipes.values())), arguments.source, work, arguments.workers)
    models = []
    for policy, recipe in recipes.items():
        features = []
        for seed in range(arguments.seeds):
            own = recipe.model_copy(update={"seed": seed})
            run = work / f"{policy}-{seed}"
            pretrain(
                own, store, run, choose_device("auto"), progress, how=Manner(onlookers=ONLOOKERS)
            )
            opened = open_evaluation(own, store, [Given(run)], False, False)
            features.append(
                embed_store(opened.runs[0].encoder(), store, opened.rows, "cpu", progress)
            )
        models.append(Model(policy, tuple(features)))
    random = tuple(
        embed_store(
            opened.runs[0].random_encoder(recipe.seed, seed), store, opened.rows, "cpu", progress
        )
        for seed in range(arguments.seeds)
    )
    models.append(Model(RANDOM, random))
    _compare(_with_tasks(opened.frame), models, recipe, arguments.seeds, work)


def _store(recipe: Recipe, sources: Sequence[Path], work: Path, workers: int) -> Store:
    if not (work / "store" / "store.json").is_file():
        progress = BarProgress()
        if not sources and not (work / "phantoms" / "participants.tsv").is_file():
            write_phantom_cohort(work / "phantoms", recipe.phantom, recipe.seed, progress, workers)
        frame = index_sources(list(sources) or [work / "phantoms"]).frame
        frame = assign_splits(frame, recipe.split, recipe.seed)
        preprocess_index(frame, work / "derivatives", recipe.preprocess, workers, progress)
        pack(work / "derivatives", work / "store", recipe.store, progress)
    return open_store(work / "store")


def _with_tasks(frame: pd.DataFrame) -> pd.DataFrame:
    if "diagnosis" not in frame or not frame["diagnosis"].eq("AD").any():
        return frame
    healthy = frame["diagnosis"].eq("H") & (frame["age_years"] >= _YOUNGEST_PATIENT_YEARS)
    ad = pd.Series(np.where(frame["diagnosis"].eq("AD"), "AD", np.where(healthy, "H", None)))
    return frame.assign(ad=ad)


def _compare(
    frame: pd.DataFrame, models: list[Model], recipe: Recipe, seeds: int, work: Path
) -> None:
    tasks = tuple(name for name in _TASKS if name in frame)
    config = recipe.evaluation.model_copy(update={"targets": tasks, "seeds": seeds})
    with threadpool_limits(1):
        predictions, records = probe_tasks(frame, models, config, recipe.seed, BarProgress())
    predictions.to_parquet(work / "predictions.parquet", index=False)
    results = tabulate(predictions, records, config, recipe.seed).results
    results.to_csv(work / "results.csv", index=False)
    print(f"{frame['participant_id'].nunique()} held-out participants, {len(frame)} scans\n")
    print("| task | model | metric | value | 95 % interval | SD of seeds | participants |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for task, rows in results.groupby("task", sort=False):
        for row in rows[rows["metric"] == rows["metric"].iloc[0]].itertuples():
            interval = f"{row.low:.3f} to {row.high:.3f}"
            print(
                f"| {task} | {row.model} | {row.metric} | {row.value:.3f} | {interval} "
                f"| {row.seeds_sd:.3f} | {row.participants} |"
            )
    print("\n| task | of | against | gain | 95 % interval | p | p (Holm) |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for model in models[:-1]:
        renamed = predictions.replace({"model": {model.name: PRETRAINED}})
        for row in tabulate(renamed, records, config, recipe.seed).comparisons.itertuples():
            interval = f"{row.low:.3f} to {row.high:.3f}"
            print(
                f"| {row.task} | {model.name} | {row.against} | {row.gain:.3f} | {interval} "
                f"| {row.p:.4f} | {row.p_holm:.4f} |"
            )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("overrides", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--source", type=Path, nargs="*", default=[])
    parser.add_argument("--policy", nargs="*", default=[])
    return parser.parse_args()


if __name__ == "__main__":
    main()
