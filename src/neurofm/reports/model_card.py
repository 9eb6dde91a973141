"""The model card: what weights are, whom they learnt from, what they are good for, as Markdown.

It is written from facts alone, whoever gathered them, and names no participant and no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from neurofm.evaluation.record import WeightsRecord
from neurofm.reports.tables import TaskTable, markdown_table

MODEL_CARD = "MODEL_CARD.md"

_USE = """\
Research on T1-weighted MRI of the brain: embeddings to compare or to model, a start for fine-tuning
and, where there is a head, predictions for groups of people like those below.

Not for diagnosis, prognosis or treatment of a person: this is no medical device, and nobody has
tested it as one. Not for scans of another contrast, prepared in another way, or of people unlike
those it was evaluated on.
"""
_LIMITS = """\
- Results hold for the cohorts below. Another scanner, age range or clinic can make them worse.
- An encoder may have learnt the scanner or the site beside the brain.
- An interval is about who happened to be tested, not about how well a result carries over.
"""
_UNSTATED = "not stated; to be filled in before the weights are passed on"


@dataclass(frozen=True)
class ModelCard:
    """The facts of a card.

    Attributes:
        name: of the evaluation, study or bundle.
        weights: what is described.
        spacing_mm: voxel size of the scans.
        contract: fingerprint of the preprocessing contract.
        preprocessing: its steps in words; empty where they were not kept.
        participants: those evaluated, by cohort.
        results: a table of each task; none where nothing was evaluated.
        subgroups: of the same tasks.
        warnings: what a reader must know.
        software: versions.
    """

    name: str
    weights: tuple[WeightsRecord, ...]
    spacing_mm: float
    contract: str
    preprocessing: tuple[str, ...]
    participants: Mapping[str, int]
    results: tuple[TaskTable, ...]
    subgroups: tuple[TaskTable, ...]
    warnings: tuple[str, ...]
    software: Mapping[str, str]


def as_markdown(card: ModelCard) -> str:
    """The card as a Markdown file."""
    sections = {
        "Intended use": _USE,
        "Limits": _LIMITS + _listed(card.warnings),
        "Architecture": _architecture(card.weights),
        "Trained on": _trained_on(card.weights),
        "Preprocessing": _preprocessing(card),
        "Evaluated on": _rows(("cohort", "participants"), card.participants.items()),
        "Results": _tables(card.results),
        "Subgroups": _tables(card.subgroups),
        "Leak check": _leaks(card.weights),
        "Software": ", ".join(f"{name} {version}" for name, version in card.software.items()),
        "Licence and citation": _licence(card.weights),
    }
    parts = [f"# Model card: {card.name}"]
    parts += [f"## {title}\n\n{text.strip() or 'Nothing.'}" for title, text in sections.items()]
    return "\n\n".join(parts) + "\n"


def _architecture(weights: Sequence[WeightsRecord]) -> str:
    return _rows(
        ("model", "encoder", "features", "predicts", "weights (SHA-256)"),
        [
            (each.model, each.encoder, each.features, each.target or "nothing: embeddings only",
             each.weights_sha256[:16])
            for each in weights
        ],
    )  # fmt: skip


def _trained_on(weights: Sequence[WeightsRecord]) -> str:
    seen = [
        (each.model, count.cohort, count.participants, count.scans)
        for each in weights
        for count in each.trained_on
    ]
    silent = [each.model for each in weights if not each.trained_on]
    lines = [_rows(("model", "cohort", "participants", "scans"), seen)] if seen else []
    if silent:
        lines.append(f"The weights do not say whom they were pre-trained on: {', '.join(silent)}.")
    lines += [
        f"{each.model}: its head learnt {each.target} from {each.head_train_participants} "
        "participants."
        for each in weights
        if each.head_train_participants
    ]
    return "\n\n".join(lines)


def _preprocessing(card: ModelCard) -> str:
    what = f"Contract `{card.contract}`, {card.spacing_mm:g} mm voxels."
    return f"{what} Scans prepared otherwise are refused.\n\n{_listed(card.preprocessing)}"


def _tables(tables: Sequence[TaskTable]) -> str:
    return "\n".join(line for table in tables for line in _table(table))


def _table(table: TaskTable) -> Iterator[str]:
    people = "" if table.heading == "Part" else f" ({table.participants})"
    yield f"### {table.title}{people}\n"
    yield from markdown_table(table)
    if table.details:
        yield f"{table.details.title}\n"
        yield from markdown_table(table.details)


def _leaks(weights: Sequence[WeightsRecord]) -> str:
    what = "Evaluated participants whom the weights have seen in training, by salted hashes:"
    found = [
        f"{each.model}: {'unknown' if each.overlap is None else each.overlap or 'none'}"
        for each in weights
    ]
    return f"{what}\n\n{_listed(found)}"


def _licence(weights: Sequence[WeightsRecord]) -> str:
    rows = [(each.model, each.terms or _UNSTATED, each.citation or _UNSTATED) for each in weights]
    made = "Made with neurofm, which is under the Apache License 2.0 (see its CITATION.cff)."
    return f"{_rows(('model', 'terms of the weights', 'cite'), rows)}\n\n{made}"


def _listed(lines: Sequence[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _rows(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(map(_in_cell, line))} |" for line in lines)


def _in_cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
