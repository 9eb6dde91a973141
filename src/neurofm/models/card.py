"""The card beside every set of weights: what they are, what they saw, what they are for."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field, JsonValue, ValidationError

from neurofm.config.encoders import CardEncoderConfig
from neurofm.config.knobs import Section
from neurofm.errors import WeightsError
from neurofm.files import write_json
from neurofm.models.checksums import verify_checksums
from neurofm.models.head import HeadCard

CARD_FILE = "card.json"
CARD_FORMAT = 1


class CohortCount(Section):
    """How much of one cohort pre-training saw."""

    cohort: str
    participants: int
    scans: int


class Metric(Section):
    """One number of an evaluation, with its interval.

    Attributes:
        task: what was predicted.
        model: how: by a probe of the encoder, or by the weights' own head.
        metric: its name, e.g. "AUC".
        better: "higher", "lower", "near 0", "near 1" or "none".
        value: the mean over seeds; None where it could not be computed.
        low: end of the interval; None where there is none ...
        high: ... as is its other end.
        interval: how it was found.
        participants: how many were tested.
        positives: how many of them have the condition; None where the task has no two classes.
        note: why there is no value.
    """

    task: str
    model: str
    metric: str
    better: str
    value: float | None
    low: float | None = None
    high: float | None = None
    interval: str = ""
    participants: int
    positives: int | None = None
    note: str = ""


class Metrics(Section):
    """What one evaluation found out about the weights; it names no participant and no path.

    Attributes:
        evaluation: name of its recipe.
        recipe_fingerprint: names that recipe.
        contract_fingerprint: names the preprocessing of its scans.
        participants: those evaluated, by cohort.
        overlap: how many of them the weights have seen; None for unknown.
        warnings: what a reader must know before the numbers.
        numbers: all of them.
    """

    evaluation: str
    recipe_fingerprint: str
    contract_fingerprint: str
    participants: dict[str, int]
    overlap: int | None
    warnings: tuple[str, ...]
    numbers: tuple[Metric, ...]


class Card(Section):
    """What a set of weights is.

    Attributes:
        format_version: of this card; a newer one than `CARD_FORMAT` is refused.
        encoder: builds the encoder that the weights fit.
        features: width of the encoder's output.
        spacing_mm: isotropic voxel size of the volumes it was trained on.
        contract: the preprocessing of those volumes, as JSON; None where it is not known.
        contract_fingerprint: names that contract.
        takes_neurofm_steps: whether neurofm's default steps may stand in for that contract, with a
            note: weights that others made with other tools for the same steps.
        recipe: the whole recipe of the run, as JSON; None for imported weights.
        recipe_fingerprint: names that recipe.
        cohorts: what was seen in pre-training.
        participant_salt: mixed into every hash below; see `models/overlap.py`.
        participant_hashes: of "cohort/participant_id"; empty where nobody published them.
        scan_hashes: of the scan files' SHA-256.
        weights_sha256: of `weights.safetensors`.
        head: of a supervised run, what it predicts; None for a pre-trained encoder.
        started_from: SHA-256 of the weights that a supervised run started from; empty from scratch.
        metrics: of one evaluation of these weights; None where none was put in.
        initialised: names that a partial import left at their random start.
        software: versions that made the weights.
        description: one sentence for a reader.
        source: where imported weights come from.
        citation: what to cite.
        terms: under which terms the weights may be used.
        intended_use: what they are for.
        limits: what they are not for, or are known to do badly.
    """

    format_version: int = CARD_FORMAT
    encoder: CardEncoderConfig
    features: int
    spacing_mm: float
    contract: dict[str, JsonValue] | None = None
    contract_fingerprint: str | None = None
    takes_neurofm_steps: bool = False
    recipe: dict[str, JsonValue] | None = None
    recipe_fingerprint: str | None = None
    cohorts: tuple[CohortCount, ...] = ()
    participant_salt: str = ""
    participant_hashes: tuple[str, ...] = ()
    scan_hashes: tuple[str, ...] = ()
    weights_sha256: str = ""
    head: HeadCard | None = None
    started_from: str = ""
    metrics: Metrics | None = None
    initialised: tuple[str, ...] = ()
    software: dict[str, str] = Field(default_factory=dict)
    description: str = ""
    source: str = ""
    citation: str = ""
    terms: str = ""
    intended_use: str = ""
    limits: str = ""


def write_card(folder: Path, card: Card) -> None:
    """Write `card.json` atomically."""
    write_json(folder / CARD_FILE, card.model_dump(mode="json"))


def read_card(folder: Path) -> Card:
    """Read `card.json`; in a bundle, once all of its checksums are right.

    Raises:
        WeightsError: there is none, it is damaged, or a newer neurofm wrote it; or any other part
            of a bundle is damaged.
    """
    verify_checksums(folder)
    path = folder / CARD_FILE
    try:
        text = path.read_text(encoding="utf-8")
        version = json.loads(text).get("format_version", 0)
    except FileNotFoundError:
        raise WeightsError(
            "holds no weights (no card.json)",
            "give a folder made by pretrain or import-weights; an unfinished run has none yet",
            folder,
        ) from None
    except (ValueError, AttributeError, OSError) as error:
        raise WeightsError(f"cannot be read ({error})", "copy the folder again", path) from None
    if isinstance(version, int) and version > CARD_FORMAT:
        raise WeightsError(
            f"format {version} is newer than this neurofm reads ({CARD_FORMAT})",
            "upgrade: pip install -U neurofm",
            path,
        )
    try:
        return Card.model_validate_json(text, strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in fault["loc"])
        raise WeightsError(f"'{key}': {fault['msg']}", "copy the folder again", path) from None
