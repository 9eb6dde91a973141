"""Time the paper's probe: 100 epochs of a frozen encoder against the same on cached features.

CPU seconds for 120 people at 6 mm, the encoder of the phantom recipes; or, with --rehearsal, for a
task of the study paper-rehearsal, which `make rehearsal` has left in a folder. An epoch of the
frozen run costs the same each time: twenty are timed and 100 counted, or all are run with --all.
The cached side, the best of three, is encoding everybody once and then 100 epochs.

Usage: OMP_NUM_THREADS=1 python benchmarks/bench_probe.py [participants] [--rehearsal FOLDER]
           [--all] [--json]
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from bench_store import write_derivatives

from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import Recipe, load_recipe
from neurofm.evaluation.paper_probe import paper_probe
from neurofm.evaluation.parts import PartedTask, divide
from neurofm.models.card import Card
from neurofm.models.embeddings import embed_store
from neurofm.models.encoder import build_encoder
from neurofm.models.weights import load_encoder, save_weights
from neurofm.progress import SilentProgress
from neurofm.store.packing import pack
from neurofm.store.reader import Store, open_store
from neurofm.training.fit import StartingPoint, train

_CPU = torch.device("cpu")
_EPOCHS = 100


@dataclass(frozen=True)
class Work:
    """What is timed: the scans, the weights that encode them, and what the task adds to recipes."""

    store: Store
    weights: Path
    task: tuple[str, ...] = ()

    def recipe(self, epochs: int) -> Recipe:
        """The paper's linear probe at the size of the phantom recipes."""
        return load_recipe(
            "linear-probe",
            [
                "store.spacing_mm=6",
                "encoder.widths=[16,32,64,128]",
                "encoder.stem_stride=2",
                f"training.epochs={epochs}",
                *self.task,
            ],
        )

    def parts(self) -> PartedTask:
        """The task, divided."""
        return divide(self.store.index, "sex", self.recipe(1).split)


def rehearsed(folder: Path) -> Work:
    """Sex of the people of IXI, by the rehearsal's SimCLR encoder."""
    store = open_store(folder / "store")
    task = ("objective.target=sex", "split.preset=paper", "split.task_cohorts=[IXI]")
    return Work(store, folder / "pretraining" / "simclr", task)


def make_store(folder: Path, people: int) -> Store:
    """Noisy ellipsoids, every other one a woman."""
    write_derivatives(folder / "derivatives", people, 6.0)
    pack(folder / "derivatives", folder / "store", StoreConfig(spacing_mm=6.0))
    store = open_store(folder / "store")
    store.index["sex"] = ["F", "M"] * (people // 2)
    store.index["sha256"] = [f"{number:064d}" for number in range(people)]
    return store


def make_weights(folder: Path, store: Store) -> Path:
    """An encoder as initialised."""
    config = Work(store, folder).recipe(1).encoder
    encoder = build_encoder(config, 1)
    state = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    card = Card(
        encoder=config,
        features=config.features,
        spacing_mm=store.spacing_mm,
        contract=store.contract.model_dump(mode="json"),
        contract_fingerprint=store.contract.fingerprint(),
        participant_salt="salt",
        participant_hashes=(),
    )
    save_weights(folder, state, card)
    return folder


def frozen_seconds(work: Work, folder: Path, epochs: int) -> float:
    """A whole run of `neurofm train linear-probe`."""
    started = time.process_time()
    train(work.recipe(epochs), work.store, folder, _CPU, start=StartingPoint(work.weights))
    return time.process_time() - started


def cached_seconds(work: Work) -> tuple[float, float]:
    """Encoding everybody of the task, and the epochs on what came out."""
    started = time.process_time()
    encoder = load_encoder(work.weights)
    task = work.parts()
    rows = task.target.rows
    features = embed_store(encoder, work.store, rows.tolist(), _CPU, SilentProgress())
    encoded = time.process_time()
    frame = work.store.index.loc[rows].reset_index(drop=True)
    paper_probe(np.asarray(features), frame, task.placed(rows), 0)
    return encoded - started, time.process_time() - encoded


def main() -> None:
    """Print the times of both, and how many times faster the cached one is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("participants", type=int, nargs="?", default=120)
    parser.add_argument("--rehearsal", type=Path, help="the folder of neurofm run paper-rehearsal")
    parser.add_argument("--all", action="store_true", help="run all 100 epochs of the frozen run")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.rehearsal:
            work = rehearsed(arguments.rehearsal)
        else:
            store = make_store(folder, arguments.participants)
            work = Work(store, make_weights(folder / "weights", store))
        cached_seconds(work)  # warms up
        if arguments.all:
            frozen = frozen_seconds(work, folder / "all", _EPOCHS)
        else:
            few = frozen_seconds(work, folder / "few", 1)
            more = frozen_seconds(work, folder / "more", 21)
            frozen = few + (_EPOCHS - 1) * (more - few) / 20
        scans = len(work.parts().target.rows)
        encoding, fitting = min((cached_seconds(work) for _ in range(3)), key=sum)
    ratio = frozen / (encoding + fitting)
    print(f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()} {scans} scans")
    print(f"frozen encoder, {_EPOCHS} epochs  {frozen:7.1f} CPU s")
    print(f"cached: encoding {encoding:.2f} s, {_EPOCHS} epochs {fitting:.2f} s")
    print(f"{ratio:.0f} times faster")
    if arguments.json:
        seconds = {"frozen_s": frozen, "encoding_s": encoding, "fitting_s": fitting}
        print(json.dumps(seconds | {"ratio": ratio}))


if __name__ == "__main__":
    main()
