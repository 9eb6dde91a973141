"""The model card of a bundle: what `card.json` says, for a reader."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from neurofm.config.recipe import check_section
from neurofm.models.card import Card, Metric
from neurofm.models.model_card import ModelCard, as_markdown, markdown_rows
from neurofm.models.weights_record import weights_record
from neurofm.preprocess.contract import Contract

_COMMANDS = """\
```
neurofm doctor --weights BUNDLE               # does this installation reproduce it?
neurofm embed SCAN --weights BUNDLE -o e.parquet
```"""
_MODEL = "these weights"


def model_card_text(card: Card) -> str:
    """The text of `MODEL_CARD.md`; nothing in it is not in the card."""
    metrics = card.metrics
    return as_markdown(
        ModelCard(
            name=_name(card),
            weights=(weights_record(card, _MODEL, metrics.overlap if metrics else None),),
            spacing_mm=card.spacing_mm,
            contract=card.contract_fingerprint or "",
            preprocessing=_steps(card),
            participants=metrics.participants if metrics else {},
            results="\n\n".join([*_validation(card), *_results(card)]),
            warnings=(*_of_import(card), *(metrics.warnings if metrics else ())),
            software=card.software,
            opening="\n\n".join(filter(None, (card.description, _COMMANDS))),
            intended_use=card.intended_use,
            limits=card.limits,
            source=card.source,
        )
    )


def _name(card: Card) -> str:
    return str((card.recipe or {}).get("name") or "imported weights")


def _steps(card: Card) -> tuple[str, ...]:
    if card.contract is None:
        return ()
    return check_section(Contract, card.contract, "card.json").in_words()


def _of_import(card: Card) -> Iterator[str]:
    if card.initialised:
        yield f"{len(card.initialised)} tensors of these weights were left at their random start."


def _validation(card: Card) -> Iterator[str]:
    head = card.head
    if head is not None and head.validation is not None:
        yield (
            f"On {head.validation_participants} validation participants, which also chose the "
            f"epoch, the {head.metric} for {head.target} is {head.validation:.4g}: no test on "
            "unseen people."
        )
    if head is not None and head.validation_scores:
        yield f"Intervals of `neurofm predict` rest on {len(head.validation_scores)} people."


def _results(card: Card) -> Iterator[str]:
    """A table of each task; their numbers are as the evaluation has them, rounded."""
    metrics = card.metrics
    if metrics is None:
        return
    yield f"By an evaluation with the recipe {metrics.evaluation}."
    for task, numbers in groupby(metrics.numbers, lambda each: each.task):
        of_task = list(numbers)
        rows = [(each.model, each.metric, _value(each), _interval(each)) for each in of_task]
        table = markdown_rows(("model", "metric", "value", "interval"), rows)
        yield f"### {task} ({of_task[0].participants} participants)\n\n{table}"


def _value(metric: Metric) -> str:
    if metric.value is None:
        return f"n/a ({metric.note})" if metric.note else "n/a"
    return f"{metric.value:.3g}"


def _interval(metric: Metric) -> str:
    if metric.low is None or metric.high is None:
        return ""
    return f"{metric.low:.3g} to {metric.high:.3g}"
