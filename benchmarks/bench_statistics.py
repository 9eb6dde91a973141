"""Simulate evaluations: how often 95 % intervals hold the truth, and tests reject true equality.

Participants have one to three scans; what these share makes up 40 to 70 % of a scan's variance, and
two compared models share 40 %. Intervals should hold the truth 92 to 98 times in 100, tests at 5 %
reject true equality at most 6.5 times in 100.

Usage: OMP_NUM_THREADS=1 python benchmarks/bench_statistics.py [trials] [--json]
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np
from scipy.stats import norm

from neurofm.evaluation.calibration import calibration_line
from neurofm.evaluation.delong import area_parts, delong_interval, delong_test
from neurofm.evaluation.folds import participant_weights
from neurofm.evaluation.metrics import Outcome, area_under_curve
from neurofm.evaluation.uncertainty import (
    Interval,
    bootstrap,
    compare,
    percentile_interval,
    resample_weights,
    wilson_interval,
)

_RESAMPLES = 500
_CLASSES = ((15, 15), (15, 215), (30, 60), (100, 100))
_AREAS = (0.6, 0.8, 0.93)
_PEOPLE = (15, 30, 100)


@dataclass(frozen=True)
class Rates:
    """Shares of trials.

    Attributes:
        covered: intervals that hold the truth, by form.
        rejected: tests that reject true equality, by form.
    """

    covered: dict[str, float]
    rejected: dict[str, float]


def scans_of(people: int, stream: np.random.Generator) -> np.ndarray:
    """The participant of each scan, one to three scans each."""
    return np.repeat(np.arange(people), stream.integers(1, 4, people))


def errors(people: np.ndarray, models: int, stream: np.random.Generator) -> list[np.ndarray]:
    """Standard normal errors of each model, one a scan."""
    count = int(people.max()) + 1
    shared = stream.normal(size=count)[people]
    return [
        np.sqrt(0.4) * shared
        + np.sqrt(0.3) * stream.normal(size=count)[people]
        + np.sqrt(0.3) * stream.normal(size=len(people))
        for _ in range(models)
    ]


def areas_trial(
    positives: int, negatives: int, area: float, stream: np.random.Generator
) -> tuple[dict[str, bool], dict[str, bool]]:
    """Two models of equal AUC on the same scans: what the first's intervals hold, and the test."""
    people = scans_of(positives + negatives, stream)
    truth = (people < positives) * 1.0
    distance = np.sqrt(2) * norm.ppf(area)
    one, other = (
        _outcome(truth, norm.cdf(distance * (truth - 0.5) + error))
        for error in errors(people, 2, stream)
    )
    parts, against = area_parts([one], people), area_parts([other], people)
    assert parts
    assert against
    draws = resample_weights(people, truth.astype(np.int64), _RESAMPLES, stream)
    resampled = bootstrap(partial(area_under_curve, one), draws)
    found = truth == 1
    share = float(np.average((one.probabilities[:, 1] > 0.5)[found],
                             weights=participant_weights(people)[found]))  # fmt: skip
    covered = {
        "AUC, DeLong": _holds(delong_interval(parts, 0.95), area),
        "AUC, plain percentiles": _holds(percentile_interval(resampled, 0.95), area),
        "sensitivity, Wilson": _holds(
            wilson_interval(share, positives, 0.95), float(norm.cdf(distance / 2))
        ),
    }
    return covered, {"AUC, DeLong": delong_test(parts, against, 0.95).p < 0.05}


def numbers_trial(
    count: int, stream: np.random.Generator
) -> tuple[dict[str, bool], dict[str, bool]]:
    """Two models of equal mean absolute error on the same scans."""
    people = scans_of(count, stream)
    one, other = (np.abs(error) for error in errors(people, 2, stream))
    weights = participant_weights(people)
    draws = resample_weights(people, 0 * people, _RESAMPLES, stream)
    means = bootstrap(lambda drawn: np.stack([drawn @ one, drawn @ other]) / drawn.sum(1), draws)
    truth = float(np.sqrt(2 / np.pi))
    covered = {
        "MAE, expanded": _holds(percentile_interval(means[0], 0.95, count), truth),
        "MAE, plain percentiles": _holds(percentile_interval(means[0], 0.95), truth),
    }
    gain = float(np.average(one - other, weights=weights))
    return covered, {
        "MAE, expanded": compare(gain, means[0] - means[1], 0.95, count).p < 0.05,
        "MAE, plain percentiles": compare(gain, means[0] - means[1], 0.95).p < 0.05,
    }


def calibration_trial(
    count: int, stream: np.random.Generator
) -> tuple[dict[str, bool], dict[str, bool]]:
    """A model whose probabilities are right."""
    people = scans_of(count, stream)
    odds = stream.normal(-0.5, 1.2, count)[people]
    truth = (stream.random(count)[people] < 1 / (1 + np.exp(-odds))) * 1.0
    outcome = _outcome(truth, 1 / (1 + np.exp(-odds)))
    intercept, slope = calibration_line([outcome], people, 0.95)
    return {
        "calibration intercept": _holds(intercept.interval, 0.0),
        "calibration slope": _holds(slope.interval, 1.0),
    }, {}


def simulate(
    trial: Callable[[np.random.Generator], tuple[dict[str, bool], dict[str, bool]]],
    trials: int,
    seed: int = 0,
) -> Rates:
    """The rates of a kind of trial."""
    stream = np.random.default_rng(seed)
    found = [trial(stream) for _ in range(trials)]
    covered, rejected = (
        {name: float(np.mean([each[place][name] for each in found])) for name in found[0][place]}
        for place in (0, 1)
    )
    return Rates(covered, rejected)


def _outcome(truth: np.ndarray, score: np.ndarray) -> Outcome:
    both = np.stack([1 - score, score], axis=1)
    return Outcome(truth, (score > 0.5) * 1.0, both, np.zeros(len(truth), np.int64))


def _holds(interval: Interval, truth: float) -> bool:
    return bool(interval.low <= truth <= interval.high)


def main() -> None:
    """Print the rates of every setting."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("trials", type=int, nargs="?", default=1000)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    arguments = parser.parse_args()
    settings: dict[str, Callable[[np.random.Generator], tuple[dict[str, bool], dict[str, bool]]]]
    settings = {
        f"{positives} + {negatives} people, AUC {area}": partial(
            areas_trial, positives, negatives, area
        )
        for positives, negatives in _CLASSES
        for area in _AREAS
    }
    settings |= {f"{count} people, numbers": partial(numbers_trial, count) for count in _PEOPLE}
    settings["120 people, calibration"] = partial(calibration_trial, 120)
    started, all_rates = time.perf_counter(), {}
    print(f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()} {arguments.trials} trials each")
    for name, trial in settings.items():
        rates = simulate(trial, arguments.trials)
        all_rates[name] = {"covered": rates.covered, "rejected": rates.rejected}
        print(name)
        for form, share in rates.covered.items():
            rejected = rates.rejected.get(form)
            test = "" if rejected is None else f", rejects {100 * rejected:.1f} %"
            print(f"  {form:24} holds the truth {100 * share:.1f} %{test}", flush=True)
    print(f"{time.perf_counter() - started:.0f} s")
    if arguments.json:
        print(json.dumps(all_rates))


if __name__ == "__main__":
    main()
