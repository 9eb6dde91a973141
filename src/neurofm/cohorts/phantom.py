"""The phantom cohort on disk: a BIDS folder of simulated heads whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from neurofm.cohorts.phantom_anatomy import Anatomy, simulate_anatomy
from neurofm.cohorts.phantom_people import Person, draw_people
from neurofm.cohorts.phantom_scanner import Acquisition, acquire
from neurofm.cohorts.phantom_sites import SITES
from neurofm.cohorts.phantom_tables import Truth, write_tables
from neurofm.config import PhantomConfig
from neurofm.errors import RunError
from neurofm.files import only_writer, read_json, sweep_unfinished, write_json
from neurofm.progress import Progress, SilentProgress
from neurofm.seeds import random_stream
from neurofm.volumes.nifti import write_volume
from neurofm.volumes.template import packaged_template_file


@dataclass(frozen=True, eq=False)
class SimulatedSession:
    """One session of one participant: the brain, its scan, and what a table says of it."""

    anatomy: Anatomy
    acquisition: Acquisition
    truth: Truth


def write_phantom_cohort(
    folder: Path,
    config: PhantomConfig,
    seed: int,
    progress: Progress | None = None,
    workers: int = 1,
) -> None:
    """Simulate a cohort and write it as BIDS, with its true volumes in participants.tsv.

    Equal config and seed give equal bytes, whatever the number of workers. A cohort that is
    already complete is left as it is; an interrupted one is made again.

    Raises:
        RunError: the folder holds another cohort, or another process writes to it.
        MissingDependencyError: nilearn, which holds the template, is not installed.
    """
    packaged_template_file("t1")
    with only_writer(folder):
        if _is_complete(folder, config, seed):
            return
        sweep_unfinished(folder)
        people = draw_people(config, seed)
        progress = progress or SilentProgress()
        progress.start("phantoms", len(people), "participants")
        try:
            truths = []
            for sessions in _simulate_all(folder, config, seed, people, workers):
                truths.append(sessions)
                progress.advance()
        finally:
            progress.finish()
        write_tables(folder, people, truths)


def simulate_session(
    config: PhantomConfig, seed: int, person: Person, session: int
) -> SimulatedSession:
    """Simulate one session (from 0) of one participant, in memory."""
    age_years = person.ages_years[session]
    site = SITES[person.site]
    finest_mm = config.spacing_mm * min(site.voxel)
    anatomy = simulate_anatomy(seed, person, age_years, 2.0 if finest_mm > 1.8 else 1.0)
    stream = random_stream("phantom", "scan", seed, person.number, session)
    acquisition = acquire(anatomy, site, config.spacing_mm, config.stripped, stream)
    return SimulatedSession(anatomy, acquisition, _truth(anatomy, age_years))


def scan_path(person: Person, session: int) -> Path:
    """Where a session's scan lies in the BIDS folder; one session alone has no session folder."""
    subject = f"sub-{person.label}"
    if len(person.ages_years) == 1:
        return Path(subject) / "anat" / f"{subject}_T1w.nii.gz"
    visit = f"ses-{session + 1}"
    return Path(subject) / visit / "anat" / f"{subject}_{visit}_T1w.nii.gz"


def _simulate_all(
    folder: Path, config: PhantomConfig, seed: int, people: list[Person], workers: int
) -> Iterator[tuple[Truth, ...]]:
    write = partial(_write_person, folder, config, seed)
    if workers <= 1:
        yield from map(write, people)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(write, people)


def _write_person(
    folder: Path, config: PhantomConfig, seed: int, person: Person
) -> tuple[Truth, ...]:
    truths = []
    for session in range(len(person.ages_years)):
        simulated = simulate_session(config, seed, person, session)
        write_volume(
            folder / scan_path(person, session), simulated.acquisition.image, dtype=np.int16
        )
        truths.append(simulated.truth)
    return tuple(truths)


def _truth(anatomy: Anatomy, age_years: float) -> Truth:
    voxel_ml = anatomy.spacing_mm**3 / 1000

    def millilitres(share: Any) -> float:
        return round(float(share.sum(dtype=np.float64)) * voxel_ml, 2)

    return Truth(
        age_years=age_years,
        brain_ml=millilitres(anatomy.brain),
        gm_ml=millilitres(anatomy.grey),
        wm_ml=millilitres(anatomy.white),
        csf_ml=millilitres(anatomy.fluid),
        ventricle_ml=millilitres(anatomy.ventricles),
        lesion_ml=millilitres(anatomy.lesion),
    )


def _is_complete(folder: Path, config: PhantomConfig, seed: int) -> bool:
    """Whether exactly this cohort is there already; a first call leaves its record."""
    record = folder / "code" / "phantom.json"
    wanted = {"seed": seed, "phantom": config.model_dump(mode="json")}
    if record.is_file():
        if read_json(record) != wanted:
            raise RunError("holds another phantom cohort", "choose another -o folder", folder)
        return (folder / "participants.tsv").is_file()
    if any(path.name != ".lock" for path in folder.iterdir()):
        raise RunError("is not empty", "choose a new folder for the phantoms", folder)
    write_json(record, wanted)
    return False
