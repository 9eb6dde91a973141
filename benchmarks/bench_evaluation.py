"""Time a whole evaluation after encoding: probes and tables, 60 participants, 512 features.

Usage: OMP_NUM_THREADS=1 python benchmarks/bench_evaluation.py [participants] [--json]
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import pandas as pd

from neurofm.config.learning import EvaluationConfig
from neurofm.evaluation.baselines import PRETRAINED, RANDOM, Model
from neurofm.evaluation.probing import probe_tasks
from neurofm.evaluation.results import tabulate

CONFIG = EvaluationConfig(targets=("age_years", "sex"))


def people(count: int) -> pd.DataFrame:
    """Index rows with ages, sexes, three sites and brain volumes."""
    stream = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "scan_id": [f"scan{i}" for i in range(count)],
            "cohort": "simulated",
            "participant_id": [f"{i:05d}" for i in range(count)],
            "age_years": stream.uniform(20, 80, count),
            "sex": stream.permutation(["F", "M"] * (count // 2)),
            "site": [f"scanner{i % 3}" for i in range(count)],
            "gm_ml": stream.normal(650, 40, count),
            "brain_ml": stream.normal(1300, 80, count),
        }
    )


def features(table: pd.DataFrame, strength: float, seed: int) -> np.ndarray:
    """Noise, and age and sex spread over all features as strongly as said."""
    stream = np.random.default_rng(seed)
    traits = np.stack([(table["age_years"] - 50) / 15, (table["sex"] == "M") * 2.0 - 1], axis=1)
    return stream.normal(size=(len(table), 512)) + strength * traits @ stream.normal(size=(2, 512))


def main() -> None:
    """Print the CPU time of probing and tabulating."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("participants", type=int, nargs="?", default=60)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    arguments = parser.parse_args()
    table = people(arguments.participants)
    random = tuple(features(table, 0.05, seed) for seed in range(1, 6))
    encoders = [Model(PRETRAINED, (features(table, 0.3, 0),)), Model(RANDOM, random)]
    started = time.process_time()
    predictions, tasks = probe_tasks(table, encoders, CONFIG, 0)
    probed = time.process_time()
    tabulate(predictions, tasks, CONFIG, 0)
    tabled = time.process_time()
    print(f"{len(table)} participants, 512 features, tasks: {', '.join(t.task for t in tasks)}")
    print(f"probing    {probed - started:6.1f} CPU seconds")
    print(f"tabulating {tabled - probed:6.1f} CPU seconds")
    if arguments.json:
        seconds = {"probing_s": probed - started, "tabulating_s": tabled - probed}
        print(json.dumps({"participants": len(table)} | seconds))


if __name__ == "__main__":
    main()
