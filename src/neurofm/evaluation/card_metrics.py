"""What a finished evaluation found out about one set of weights, for their card."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from neurofm.errors import RunError
from neurofm.evaluation.baselines import PRETRAINED
from neurofm.evaluation.given import probe_name
from neurofm.evaluation.record import RESULTS, EvaluationRecord, read_record
from neurofm.evaluation.saved_tables import read_table
from neurofm.models.card import Card, Metric, Metrics


def metrics_of(folder: Path, card: Card) -> Metrics:
    """The numbers of an evaluation that are about a card's weights.

    Args:
        folder: of the evaluation.
        card: of the weights.

    Raises:
        RunError: it is no finished evaluation, it was made with other weights, or its numbers are
            the mean of these weights and others.
    """
    record = read_record(folder)
    model, overlap = _row_of(record, card, folder)
    results = read_table(folder / RESULTS)
    wanted = results[results["model"].isin([model, probe_name(model)])]
    return Metrics(
        evaluation=record.recipe.name,
        recipe_fingerprint=record.recipe_fingerprint,
        contract_fingerprint=record.contract_fingerprint,
        participants=record.participants_by_cohort,
        overlap=overlap,
        warnings=record.warnings,
        numbers=tuple(_metric(row) for row in wanted.to_dict("records")),
    )


def _row_of(record: EvaluationRecord, card: Card, folder: Path) -> tuple[str, int | None]:
    """Name of the weights' row, and how many of the people they have seen."""
    if not record.weights and record.weights_sha256 == card.weights_sha256:
        return PRETRAINED, record.pretrain_overlap
    own = [each for each in record.weights if each.weights_sha256 == card.weights_sha256]
    if not own:
        given = [(each.model, each.weights_sha256) for each in record.weights]
        found = given or [(PRETRAINED, record.weights_sha256)]
        others = ", ".join(f"{model} ({sha256[:8]})" for model, sha256 in found)
        raise RunError(
            f"was made with other weights: {others}, not {card.weights_sha256[:8]}",
            "evaluate these weights", folder,
        )  # fmt: skip
    model = own[0].model
    repeats = sum(each.model == model for each in record.weights)
    if repeats > 1:
        raise RunError(
            f"tells of {repeats} weights named '{model}' together", "evaluate these alone", folder
        )
    return model, own[0].overlap


def _metric(row: dict[Any, Any]) -> Metric:
    return Metric(
        task=str(row["task"]),
        model=str(row["model"]),
        metric=str(row["metric"]),
        better=str(row["better"]),
        value=_number(row["value"]),
        low=_number(row["low"]),
        high=_number(row["high"]),
        interval=_text(row["interval"]),
        participants=int(row["participants"]),
        positives=_count(row.get("positives")),
        note=_text(row["note"]),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _count(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
