"""Simulate evaluations: how often 95 % intervals hold the truth, and tests reject true equality.

Samples are those of `simulated_models.py`. Intervals and tests are those that `neurofm evaluate`
shows, computed by its own functions; with enough resamples, the bootstrap's beside them.
Intervals should hold the truth 92 to 98 times in 100, tests at 5 % reject true equality at most 6.5
times in 100. An interval that is not defined counts neither way, and is named.

Usage: OMP_NUM_THREADS=1 python benchmarks/bench_statistics.py
    [trials] [--workers N] [--resamples N] [--only TEXT] [--json]
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np
from simulated_models import (
    many_classes,
    numbers,
    right_probabilities,
    truth_of_many_classes,
    truth_of_numbers,
    truth_of_two_classes,
    two_classes,
)

from neurofm.config.learning import EvaluationConfig
from neurofm.data.targets import Kind
from neurofm.evaluation.metrics import METRICS
from neurofm.evaluation.record import TaskRecord
from neurofm.evaluation.results import compare_scores
from neurofm.evaluation.scoring import Sample, Score, calibration_scores, score, score_all
from neurofm.evaluation.uncertainty import Interval

# Tests need resamples, but for DeLong's; so do no intervals that are shown.
_ENOUGH = 400
_CONFIG = EvaluationConfig(bootstrap_samples=_ENOUGH)
_CLASSES = ((15, 15), (15, 215), (30, 60), (100, 100))
_AREAS = (0.6, 0.8, 0.93)
_PEOPLE = (15, 30, 100)
_SLOPES = ((0.3, 0.5), (0.8, 0.4))  # of the prediction over the target, and its error
_MANY_CLASSES = ((15, 15, 15), (15, 40, 60), (100, 100, 100))
_DISTANCES = (0.8, 2.0)
_FEWEST, _MOST, _REJECTED = 0.92, 0.98, 0.065

Draw = Callable[[np.random.Generator], Sample]


@dataclass(frozen=True)
class Setting:
    """One kind of evaluation.

    Attributes:
        name: as it is printed.
        kind: of the task.
        classes: of the task.
        draw: a sample of two models that are equally good.
        truth: of each metric that is looked at.
    """

    name: str
    kind: Kind
    classes: tuple[str, ...]
    draw: Draw
    truth: dict[str, float]


def settings() -> list[Setting]:
    """All kinds of evaluation that are simulated."""
    two, three = ("no", "yes"), ("a", "b", "c")
    found = [
        Setting(f"{positives} + {negatives} people, AUC {area}", "binary", two,
                partial(two_classes, positives, negatives, area),
                truth_of_two_classes(positives, negatives, area))
        for positives, negatives in _CLASSES
        for area in _AREAS
    ]  # fmt: skip
    line = {"calibration intercept": 0.0, "calibration slope": 1.0}
    found += [
        Setting(f"{positives + negatives} people, about {positives} positive, AUC {area}", "binary",
                two, partial(right_probabilities, positives + negatives,
                             positives / (positives + negatives), area), line)
        for positives, negatives in _CLASSES
        for area in _AREAS
    ]  # fmt: skip
    found += [
        Setting(f"{people} people, numbers, r {truth['r']:.2f}", "regression", (),
                partial(numbers, people, slope, noise), truth)
        for people in _PEOPLE
        for slope, noise in _SLOPES
        for truth in [truth_of_numbers(slope, noise)]
    ]  # fmt: skip
    found += [
        Setting(f"{' + '.join(map(str, sizes))} people, distance {distance:g}", "multiclass", three,
                partial(many_classes, sizes, distance), truth_of_many_classes(sizes, distance))
        for sizes in _MANY_CLASSES
        for distance in _DISTANCES
    ]  # fmt: skip
    return found


@dataclass(frozen=True)
class Rates:
    """What was counted in one setting.

    Attributes:
        held: of the shown intervals of each metric, the share that holds the truth.
        by_bootstrap: the same of the expanded percentiles behind them; empty of few resamples.
        undefined: trials without an interval, as a share.
        methods: of the shown intervals; of several the most frequent.
        rejected: share of the tests of the first metric with p below 5 %; None without a test.
    """

    held: dict[str, float]
    by_bootstrap: dict[str, float]
    undefined: dict[str, float]
    methods: dict[str, str]
    rejected: float | None


def simulate(setting: Setting, trials: int, resamples: int) -> Rates:
    """The rates of one setting."""
    config = _CONFIG.model_copy(update={"bootstrap_samples": resamples})
    of_test = config if setting.kind == "binary" else _CONFIG
    stream = np.random.default_rng(0)
    task = TaskRecord(task="simulated", kind=setting.kind, classes=setting.classes, scans=0,
                      participants=0, positives=None, notes=())  # fmt: skip
    found: dict[str, list[Score]] = {name: [] for name in setting.truth}
    rejected = []
    for trial in range(trials):
        sample = setting.draw(stream)
        one, other = (Sample([each], sample.people, sample.strata) for each in sample.repeats)
        if "calibration slope" in setting.truth:
            scores: Sequence[Score] = calibration_scores(one, _CONFIG)
        else:
            scores = score_all(one, task, config, trial)
            ours, theirs = (
                score(each, METRICS[setting.kind][0], task, of_test, trial) for each in (one, other)
            )
            rejected.append(compare_scores(ours, theirs, of_test, one.smallest)[0].p < 0.05)
        for each in scores:
            if each.name in found:
                found[each.name].append(each)
    shown = {
        name: _held([e.interval for e in of], setting.truth[name]) for name, of in found.items()
    }
    drawn = {
        name: _held([e.bootstrap for e in of], setting.truth[name]) for name, of in found.items()
    }
    return Rates(
        held={name: held for name, (held, _) in shown.items()},
        by_bootstrap={
            name: held
            for name, (held, _) in drawn.items()
            if resamples >= _ENOUGH and not np.isnan(held)
        },
        undefined={name: nothing for name, (_, nothing) in shown.items()},
        methods={
            name: Counter(e.method for e in of).most_common(1)[0][0] for name, of in found.items()
        },
        rejected=float(np.mean(rejected)) if rejected else None,
    )


def _held(intervals: Sequence[Interval], truth: float) -> tuple[float, float]:
    """Share of the defined ones that hold the truth, and share of those that are not defined."""
    low, high = (np.array([getattr(e, end) for e in intervals]) for end in ("low", "high"))
    defined = ~np.isnan(low)
    held = (low <= truth) & (truth <= high)
    return float(held[defined].mean()) if defined.any() else np.nan, float(1 - defined.mean())


def main() -> None:
    """Print the rates of every setting, and what lies outside the limits."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("trials", type=int, nargs="?", default=1000)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument(
        "--resamples", type=int, default=100,
        help=f"for the intervals; of {_ENOUGH} or more the bootstrap's own rates are shown, too",
    )  # fmt: skip
    parser.add_argument("--only", default="", help="settings with this in their names")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    arguments = parser.parse_args()
    started, outside = time.perf_counter(), []
    wanted = [setting for setting in settings() if arguments.only in setting.name]
    print(f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()} {arguments.trials} trials each")
    all_rates = {}
    with ProcessPoolExecutor(arguments.workers) as pool:
        run = partial(simulate, trials=arguments.trials, resamples=arguments.resamples)
        of_each = pool.map(run, wanted)
        for setting, rates in zip(wanted, of_each, strict=True):
            all_rates[setting.name] = asdict(rates)
            _show(setting, rates)
            outside += [f"{setting.name}: {what}" for what in _outside(rates)]
    print(f"outside {100 * _FEWEST:.0f} to {100 * _MOST:.0f} %, or rejected in more than "
          f"{100 * _REJECTED:.1f} %: {len(outside)}")  # fmt: skip
    print(*(f"  {text}" for text in outside), sep="\n")
    print(f"{time.perf_counter() - started:.0f} s")
    if arguments.json:
        print(json.dumps(all_rates))


def _show(setting: Setting, rates: Rates) -> None:
    print(f"{setting.name}, true values "
          + ", ".join(f"{truth:.3f}" for truth in setting.truth.values()))  # fmt: skip
    for metric, held in rates.held.items():
        drawn, nothing = rates.by_bootstrap.get(metric), rates.undefined[metric]
        words = "" if drawn is None else f", bootstrap {100 * drawn:.1f} %"
        words += f", undefined {100 * nothing:.1f} %" if nothing else ""
        method = f"{metric}, {rates.methods[metric]}"
        print(f"  {method:32} holds the truth {100 * held:.1f} %{words}", flush=True)
    if rates.rejected is not None:
        test = f"paired test of {next(iter(rates.held))}"
        print(f"  {test:32} rejects {100 * rates.rejected:.1f} %")


def _outside(rates: Rates) -> list[str]:
    found = [
        f"{metric} {100 * held:.1f} %"
        for metric, held in rates.held.items()
        if not _FEWEST <= held <= _MOST
    ]
    is_loose = rates.rejected is not None and rates.rejected > _REJECTED
    return found + ([f"test rejects {100 * rates.rejected:.1f} %"] if is_loose else [])


if __name__ == "__main__":
    main()
