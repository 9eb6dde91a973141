"""The card of a finished run: what was trained, on whom, under which contract."""

from __future__ import annotations

import pandas as pd
import torch

from neurofm.cohorts.index import participant_keys
from neurofm.config.recipe import Recipe
from neurofm.models.card import Card
from neurofm.models.overlap import count_cohorts, hash_participants, new_salt
from neurofm.store.reader import Store
from neurofm.training.precision import choose_numerics, numerics_record
from neurofm.versions import software_record


def card_of_run(recipe: Recipe, store: Store, frame: pd.DataFrame, device: torch.device) -> Card:
    """Describe the weights of a run.

    Args:
        recipe: of the run.
        store: what it read.
        frame: the rows of the store's index that it saw.
        device: what computed it.
    """
    salt = new_salt()
    participants = participant_keys(frame)
    numerics = choose_numerics(recipe.training, device)
    checksums = [each for each in frame["sha256"].tolist() if isinstance(each, str)]
    return Card(
        encoder=recipe.encoder,
        features=recipe.encoder.features,
        spacing_mm=store.spacing_mm,
        contract=store.contract.model_dump(mode="json"),
        contract_fingerprint=store.contract.fingerprint(),
        recipe=recipe.model_dump(mode="json"),
        recipe_fingerprint=recipe.fingerprint(),
        cohorts=count_cohorts(frame),
        participant_salt=salt,
        participant_hashes=tuple(hash_participants(participants.astype(str), salt)),
        scan_hashes=tuple(hash_participants(checksums, salt)),
        software=software_record() | numerics_record(numerics, device),
        description=(
            f"3D ResNet-18 encoder pre-trained with SimCLR (recipe {recipe.name}) on "
            f"{participants.nunique()} participants, {len(frame)} scans, {store.spacing_mm:g} mm."
        ),
    )
