"""The card of a finished run: what was trained, on whom, under which contract."""

from __future__ import annotations

import pandas as pd
import torch

from neurofm.cohorts.index import participant_keys
from neurofm.config.recipe import Recipe
from neurofm.models.card import Card
from neurofm.models.overlap import count_cohorts, hash_participants, new_salt
from neurofm.store.reader import Store
from neurofm.training.objective import Material
from neurofm.training.precision import choose_numerics, numerics_record
from neurofm.training.validation import Validation
from neurofm.versions import software_record

_NETWORKS = {"resnet18": "3D ResNet-18", "vit": "3D vision transformer"}
_OBJECTIVES = {
    "simclr": "pre-trained with SimCLR",
    "mae": "pre-trained as a masked autoencoder",
    "supervised": "trained with labels",
}


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
            f"{_NETWORKS[recipe.encoder.kind]} encoder {_OBJECTIVES[recipe.objective.kind]} "
            f"(recipe {recipe.name}) on {participants.nunique()} participants, {len(frame)} scans, "
            f"{store.spacing_mm:g} mm."
        ),
    )


def with_task(card: Card, material: Material, validation: Validation) -> Card:
    """The card of a supervised run: its head, and what the weights it started from have seen.

    Hashes of the start and of this run, validation included, share the start's salt, so that
    whoever was seen at any time is found.
    """
    task, start = material.task, material.start
    metric, value, epoch = validation.best
    kept = validation.scores()
    head = task.head.model_copy(
        update={
            "metric": metric,
            "validation": value,
            "epoch": epoch,
            "validation_scores": kept.scores,
            "validation_people": kept.people,
        }
    )
    seen = pd.concat([task.train, task.validation])
    salt = start.card.participant_salt if start and start.card.participant_salt else new_salt()
    participants = set(hash_participants(participant_keys(seen).astype(str), salt))
    scans = set(hash_participants([each for each in seen["sha256"] if isinstance(each, str)], salt))
    changes: dict[str, object] = {"head": head, "participant_salt": salt}
    if start is not None:
        participants |= set(start.card.participant_hashes)
        scans |= set(start.card.scan_hashes)
        changes |= {"cohorts": start.card.cohorts, "started_from": start.card.weights_sha256}
        changes |= {"citation": start.card.citation, "terms": start.card.terms}
        changes |= {"source": start.card.source}
    changes |= {"participant_hashes": tuple(sorted(participants))}
    changes |= {"scan_hashes": tuple(sorted(scans))}
    return card.model_copy(update=changes)
