"""The model card: what weights are, whom they learnt from, what they are good for, as Markdown.

One writer for bundles, evaluations and studies: it is given facts, whoever gathered them, and names
no participant and no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from neurofm.models.weights_record import WeightsRecord

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
        contract: fingerprint of the preprocessing contract; empty where it is not known.
        preprocessing: its steps in words; empty where they were not kept.
        participants: those evaluated, by cohort; none where nothing was evaluated.
        results: Markdown, with headings of the third level.
        subgroups: likewise, of the same tasks.
        warnings: what a reader must know.
        software: versions.
        opening: Markdown above all sections.
        intended_use: what the makers say the weights are for.
        limits: what they say they are not for.
        source: where the weights come from.
    """

    name: str
    weights: tuple[WeightsRecord, ...]
    spacing_mm: float
    contract: str
    preprocessing: tuple[str, ...] = ()
    participants: Mapping[str, int] = field(default_factory=dict)
    results: str = ""
    subgroups: str = ""
    warnings: tuple[str, ...] = ()
    software: Mapping[str, str] = field(default_factory=dict)
    opening: str = ""
    intended_use: str = ""
    limits: str = ""
    source: str = ""


def as_markdown(card: ModelCard) -> str:
    """The card as a Markdown file."""
    sections = {
        "Intended use": _below(card.intended_use, _USE),
        "Limits": _below(card.limits, _LIMITS + _listed(card.warnings)),
        "Architecture": _architecture(card.weights),
        "Trained on": _trained_on(card.weights),
        "Preprocessing": _preprocessing(card),
        "Evaluated on": _evaluated_on(card.participants),
        "Results": card.results,
        "Subgroups": card.subgroups,
        "Leak check": _leaks(card),
        "Software": ", ".join(f"{name} {version}" for name, version in card.software.items()),
        "Licence and citation": _licence(card),
    }
    parts = [f"# Model card: {card.name}", *([card.opening.strip()] if card.opening else [])]
    parts += [f"## {title}\n\n{text.strip() or 'Nothing.'}" for title, text in sections.items()]
    return "\n\n".join(parts) + "\n"


def markdown_rows(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as Markdown; cells may hold any text."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(map(_in_cell, line))} |" for line in lines)


def _architecture(weights: Sequence[WeightsRecord]) -> str:
    return markdown_rows(
        ("model", "encoder", "features", "predicts", "weights (SHA-256)", "recipe"),
        [
            (each.model, each.encoder, each.features, each.target or "nothing: embeddings only",
             each.weights_sha256[:16], each.recipe_fingerprint or "not said")
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
    headings = ("model", "cohort", "participants", "scans")
    lines = [markdown_rows(headings, seen)] if seen else []
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
    if not card.contract:
        return f"{card.spacing_mm:g} mm voxels. The weights do not say how they were prepared."
    what = f"Contract `{card.contract}`, {card.spacing_mm:g} mm voxels."
    return f"{what} Scans prepared otherwise are refused.\n\n{_listed(card.preprocessing)}"


def _evaluated_on(participants: Mapping[str, int]) -> str:
    return markdown_rows(("cohort", "participants"), participants.items()) if participants else ""


def _leaks(card: ModelCard) -> str:
    if not card.participants:
        return ""
    what = "Evaluated participants whom the weights have seen in training, by salted hashes:"
    found = [
        f"{each.model}: {'unknown' if each.overlap is None else each.overlap or 'none'}"
        for each in card.weights
    ]
    return f"{what}\n\n{_listed(found)}"


def _licence(card: ModelCard) -> str:
    rows = [
        (each.model, each.terms or _UNSTATED, each.citation or _UNSTATED) for each in card.weights
    ]
    made = "Made with neurofm, which is under the Apache License 2.0 (see its CITATION.cff)."
    parts = [markdown_rows(("model", "terms of the weights", "cite"), rows), made]
    if card.source:
        parts.insert(1, f"Source: {card.source}")
    return "\n\n".join(parts)


def _below(said: str, standing: str) -> str:
    return f"{said}\n\n{standing}" if said else standing


def _listed(lines: Sequence[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _in_cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
