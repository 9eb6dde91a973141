"""The doctor's findings on a set of weights, and on whether a scan prepared so would fit them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neurofm.config import PreprocessConfig, check_section
from neurofm.config.recipe import check_recipe
from neurofm.errors import WeightsError
from neurofm.files import sha256_of
from neurofm.inference.diagnosis import Finding, Section
from neurofm.inference.doctor_treatment import contract_or_none, step_words
from neurofm.models.card import Card, read_card
from neurofm.models.overlap import hash_participants
from neurofm.models.suitability import stands_in
from neurofm.preprocess.contract import Contract, difference_of
from neurofm.volumes.grids import model_shape

_WEIGHTS_FILE = "weights.safetensors"
_SHOWN_COHORTS = 12


@dataclass(frozen=True, eq=False)
class WeightsFacts:
    """A set of weights as its card describes it.

    Attributes:
        folder: where it lies.
        card: its card.
        contract: the preprocessing it wants; None where the card does not say.
        whole: whether the file's SHA-256 is the card's.
    """

    folder: Path
    card: Card
    contract: Contract | None
    whole: bool


def read_weights_facts(folder: Path) -> WeightsFacts:
    """Read the card and verify the checksum; the tensors stay on the disk.

    Raises:
        WeightsError: no card, or no weights beside it.
        ConfigError: the card's contract is none this version of neurofm knows.
    """
    card = read_card(folder)
    path = folder / _WEIGHTS_FILE
    if not path.is_file():
        raise WeightsError("is missing beside its card.json", "copy the folder again", path)
    wanted = card.contract
    contract = None if wanted is None else check_section(Contract, dict(wanted), "card.json")
    return WeightsFacts(folder, card, contract, sha256_of(path) == card.weights_sha256)


def preprocessing_in_card(facts: WeightsFacts) -> PreprocessConfig | None:
    """The settings the weights were trained with; None for weights without a recipe.

    Raises:
        ConfigError: the card's recipe is none this version of neurofm knows.
    """
    recipe = facts.card.recipe
    return None if recipe is None else check_recipe(dict(recipe), "card.json").preprocess


def weights_section(facts: WeightsFacts, config: PreprocessConfig, scan_sha256: str) -> Section:
    """What the weights want and have seen, and whether this scan would fit them.

    Args:
        facts: the weights.
        config: how the scan would be preprocessed.
        scan_sha256: of the scan's file.
    """
    card = facts.card
    shape = " x ".join(str(count) for count in reversed(model_shape(card.spacing_mm)))
    wants = tuple(
        Finding(f"wants {step.name.replace('-', ' ')}", step_words(step))
        for step in (facts.contract.steps if facts.contract else ())
    )
    findings = (
        Finding("weights", str(facts.folder), card.description),
        Finding("checksum", "right" if facts.whole else "wrong"),
        Finding("wants volumes of", f"{shape} voxels of {card.spacing_mm:g} mm"),
        *wants,
        _fit(facts, config),
        Finding("trained on", _cohorts(card)),
        _seen(card, scan_sha256),
    )
    return Section("Weights", findings)


def _fit(facts: WeightsFacts, config: PreprocessConfig) -> Finding:
    if facts.contract is None:
        remark = "the weights do not say how their scans were preprocessed"
        return Finding("fit", "unknown", remark, matters=True)
    ours = contract_or_none(config)
    if ours is None:
        return Finding("fit", "unknown: the template is not on this machine")
    difference = difference_of(ours, facts.contract)
    if not difference:
        return Finding("fit", "prepared with these settings, the scan fits the weights")
    if stands_in(facts.card, ours):
        remark = f"the weights' makers used other tools ({difference})"
        return Finding("fit", "neurofm's steps stand in for the weights' own", remark)
    return Finding(
        "fit", "prepared with these settings, the scan does not fit the weights",
        f"{difference}; use the weights' own recipe, or say --allow-other-preprocessing",
        matters=True,
    )  # fmt: skip


def _cohorts(card: Card) -> str:
    if not card.cohorts:
        return "not said"
    named = [f"{one.cohort} {one.participants} ({one.scans})" for one in card.cohorts]
    more = f" and {len(named) - _SHOWN_COHORTS} more" if len(named) > _SHOWN_COHORTS else ""
    people = sum(one.participants for one in card.cohorts)
    scans = sum(one.scans for one in card.cohorts)
    return f"{people} participants ({scans} scans): {', '.join(named[:_SHOWN_COHORTS])}{more}"


def _seen(card: Card, scan_sha256: str) -> Finding:
    if not card.scan_hashes:
        return Finding("seen in training", "unknown: the weights list no scans")
    if hash_participants([scan_sha256], card.participant_salt)[0] in card.scan_hashes:
        remark = "the weights were trained on this very file: do not evaluate them on it"
        return Finding("seen in training", "yes", remark, matters=True)
    return Finding("seen in training", "not this file")
