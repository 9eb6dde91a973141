"""What a finished masked autoencoder makes of scans: of a packed store, or raw ones."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurofm.cohorts.failures import Failure
from neurofm.cohorts.index import participant_keys
from neurofm.config.objectives import MAEConfig
from neurofm.config.recipe import Recipe, check_recipe
from neurofm.data.loader import ScanLoader
from neurofm.data.mean_image import ENOUGH_SCANS, mean_image
from neurofm.data.participants import one_scan_each
from neurofm.errors import ConfigError, RunError, TableError, WeightsError
from neurofm.inference.embed import preprocessing_of, require_fitting
from neurofm.inference.prepared import prepare_sources, prepared_batches, work_folder
from neurofm.models.card import Card
from neurofm.models.weights import load_weights, overlap, refuse_other_names
from neurofm.objectives.mae import MAE
from neurofm.objectives.reconstruction import ReconstructedScan, reconstruct_scans
from neurofm.progress import Progress
from neurofm.store.model_input import from_model_order
from neurofm.store.reader import Store
from neurofm.training.device import choose_device
from neurofm.training.objective import build_objective
from neurofm.volumes.nifti import write_volume

MOST_SCANS = 24  # that a picture has rows for


@dataclass(frozen=True, eq=False)
class Autoencoder:
    """A masked autoencoder of a finished run, frozen, on the device it computes on."""

    model: MAE
    card: Card
    recipe: Recipe


@dataclass(frozen=True, eq=False)
class Reconstructed:
    """What became of the scans.

    Attributes:
        names: scan id of each.
        scans: in the same order.
        averaged: scans that the mean image is of; 0 where there is none.
        failures: scans that could not be used, and why.
        notes: what a reader must know, in plain words.
    """

    names: tuple[str, ...]
    scans: tuple[ReconstructedScan, ...]
    averaged: int = 0
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()


def load_autoencoder(run: Path) -> Autoencoder:
    """The encoder and decoder of a run, with the weights it ended with.

    Raises:
        RunError: the run is of another objective.
        WeightsError: the weights cannot be loaded, hold no decoder, or do not fit the recipe.
    """
    loaded = load_weights(run)
    if loaded.card.recipe is None:
        mend = "give the folder of neurofm pretrain -o"
        raise RunError("holds weights without a recipe, so no masked autoencoder", mend, run)
    recipe = check_recipe(dict(loaded.card.recipe), "card.json")
    if not isinstance(recipe.objective, MAEConfig):
        raise RunError(
            f"is no masked autoencoder: its objective is {recipe.objective.kind}",
            "give a run of a recipe with objective.kind: mae",
            run,
        )
    if not any(name.startswith("decoder.") for name in loaded.state):
        mend = "give the run's own folder, whose weights.safetensors has both"
        raise WeightsError("holds an encoder without its decoder", mend, run)
    model = build_objective(recipe, loaded.card.spacing_mm)
    assert isinstance(model, MAE)
    refuse_other_names(model, loaded.state, run)
    model.load_state_dict(dict(loaded.state))
    model.eval().requires_grad_(False).to(choose_device())
    return Autoencoder(model, loaded.card, recipe)


def reconstruct_packed(
    autoencoder: Autoencoder,
    store: Store,
    names: Sequence[str],
    first: int,
    allow_other_contract: bool = False,
) -> Reconstructed:
    """Reconstruct scans of a store, beside the mean image of those that pre-training saw.

    Args:
        autoencoder: from `load_autoencoder`.
        store: open.
        names: scan ids; none for the first ones of the store.
        first: how many of these.
        allow_other_contract: go on where the scans were prepared otherwise, with a note.

    Raises:
        ContractError: the scans were not prepared as the weights need.
        TableError: the store has no such scan.
        ConfigError: none are asked for, or more than a picture has rows for.
    """
    card = autoencoder.card
    notes = require_fitting(store.contract, store.spacing_mm, card, allow_other_contract)
    rows = [_row_of(store, name) for name in names] or list(range(min(first, len(store))))
    if not 1 <= len(rows) <= MOST_SCANS:
        mend = f"a picture shows 1 to {MOST_SCANS}"
        raise ConfigError(f"{len(rows)} scans are asked for", mend, store.folder)
    seen = seen_by(card, store)
    averaged = one_scan_each(store.index.loc[seen], ENOUGH_SCANS, autoencoder.recipe.seed)
    mean = mean_image(store, averaged.index.tolist()) if len(averaged) else None
    scans: list[ReconstructedScan] = []
    for batch in ScanLoader(store).batches([[row] for row in rows]):
        scans += reconstruct_scans(autoencoder.model, batch.to(choose_device()), mean)
    ids = tuple(str(store.index["scan_id"].iloc[row]) for row in rows)
    return Reconstructed(ids, tuple(scans), len(averaged), (), notes)


def seen_by(card: Card, store: Store) -> list[int]:
    """The rows of a store whose participants the weights have seen in pre-training."""
    people = set(overlap(card, store.index))
    keys = participant_keys(store.index)
    return [row for row, key in enumerate(keys) if str(key) in people]


def reconstruct_raw(
    autoencoder: Autoencoder,
    sources: Sequence[str],
    work: Path | None,
    allow_other_contract: bool = False,
    *,
    progress: Progress,
) -> Reconstructed:
    """Preprocess raw scans as the run's were, and reconstruct them.

    Args:
        autoencoder: from `load_autoencoder`.
        sources: scan files, folders, tables or indexes of raw scans.
        work: where the preprocessed scans are kept and found again; None keeps none.
        allow_other_contract: go on where the preprocessing is not the run's, with a note.
        progress: shown the course of the work.

    Raises:
        ContractError: scans cannot be preprocessed as the weights need.
        TableError: a source cannot be read.
        ConfigError: no source is given.
    """
    if not sources:
        raise ConfigError("no scan is given", "name raw scans, or a store with --store", "SCANS")
    card = autoencoder.card
    config, notes = preprocessing_of(card, allow_other_contract)
    places = [Path(source) for source in sources]
    with work_folder(work) as folder:
        table, failures = prepare_sources(places, folder, config, 1, progress)
        usable = table[table["reason"].isna()]
        if len(usable) > MOST_SCANS:
            notes += (f"Only the first {MOST_SCANS} of {len(usable)} scans are shown.",)
            usable = usable.iloc[:MOST_SCANS]
        scans: list[ReconstructedScan] = []
        for batch in prepared_batches(usable, folder, card.spacing_mm):
            scans += reconstruct_scans(autoencoder.model, batch.to(choose_device()))
    names = tuple(str(name) for name in usable["scan_id"])
    return Reconstructed(names, tuple(scans), 0, failures, notes)


def write_niftis(folder: Path | None, found: Reconstructed, spacing_mm: float) -> None:
    """Write `SCAN_reconstruction.nii.gz` and `SCAN_error.nii.gz`, in standard deviations.

    They lie in MNI152 space, on the model's box at its spacing. Without a folder, nothing is done.
    """
    if folder is None:
        return
    for name, scan in zip(found.names, found.scans, strict=True):
        for what, array in (("reconstruction", scan.reconstruction), ("error", scan.error)):
            volume = from_model_order(array, spacing_mm)
            path = folder / f"{name.replace('/', '_')}_{what}.nii.gz"
            write_volume(path, volume, np.float32, space="mni152")


def _row_of(store: Store, name: str) -> int:
    names = [str(each) for each in store.index["scan_id"]]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        mend = f"did you mean '{near[0]}'?" if near else "see its index.parquet"
        raise TableError(f"the store has no scan '{name}'", mend, store.folder)
    return names.index(name)
