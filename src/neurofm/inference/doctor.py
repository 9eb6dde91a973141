"""The doctor: can this scan be used, what is odd about it, and how would it be treated?"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from neurofm.config import PreprocessConfig
from neurofm.config.recipe import load_recipe
from neurofm.errors import ScanError
from neurofm.inference.diagnosis import Diagnosis, Finding, Section
from neurofm.inference.doctor_scan import (
    brain_section,
    file_section,
    header_section,
    intensity_section,
    note_findings,
    notes_section,
)
from neurofm.inference.doctor_treatment import treatment_section
from neurofm.inference.doctor_weights import (
    WeightsFacts,
    preprocessing_in_card,
    read_weights_facts,
    weights_section,
)
from neurofm.preprocess.stripped import stripped_brain
from neurofm.volumes.header import Orientation
from neurofm.volumes.header_facts import HeaderFacts, read_header_facts
from neurofm.volumes.nifti import ReadVolume, read_volume

_DEFAULT_RECIPE = "simclr-paper"


@dataclass(frozen=True, eq=False)
class Plan:
    """How scans would be treated.

    Attributes:
        config: the preprocessing.
        origin: where it comes from, in words, e.g. "recipe simclr-paper".
        weights: what they are to be used with, or None.
    """

    config: PreprocessConfig
    origin: str
    weights: WeightsFacts | None = None


def plan_for(
    weights: Path | None = None,
    recipe: str | None = None,
    volume_index: int | None = None,
    assume_orientation: Orientation | None = None,
) -> Plan:
    """The preprocessing of a recipe; or of the weights, where no recipe is named; or the paper's.

    Args:
        weights: folder of weights, or None.
        recipe: name or path of a recipe, or None.
        volume_index: overrules the recipe.
        assume_orientation: overrules the recipe.

    Raises:
        WeightsError: there are no weights in that folder.
        ConfigError: no such recipe, or one that cannot be used.
    """
    facts = None if weights is None else read_weights_facts(weights)
    own = None if facts is None else preprocessing_in_card(facts)
    if recipe is None and own is not None:
        config, origin = own, "the weights' recipe"
    else:
        name = recipe or _DEFAULT_RECIPE
        config, origin = load_recipe(name).preprocess, f"recipe {name}"
    given = {"volume_index": volume_index, "assume_orientation": assume_orientation}
    chosen = {key: value for key, value in given.items() if value is not None}
    return Plan(config.model_copy(update=chosen), origin, facts)


def examine(path: Path, plan: Plan, full: bool = False) -> Diagnosis:
    """Read one scan and say what it is and how it would be treated; no error for a bad scan.

    Args:
        path: the scan.
        plan: how it would be treated.
        full: prepare it as well, which takes some twenty seconds, and tell the quality.
    """
    facts, problem = _header(path)
    if facts is None:
        return _unusable(path, (), problem)
    try:
        read = read_volume(
            path,
            volume_index=plan.config.volume_index,
            assume_orientation=plan.config.assume_orientation,
        )
    except ScanError as error:
        known = (file_section(path, facts, is_whole=False), header_section(facts))
        return _unusable(path, known, error)
    stripped = stripped_brain(read.volume)
    sections = (
        file_section(path, facts, is_whole=True),
        header_section(facts),
        intensity_section(read.volume),
        brain_section(read.volume, stripped),
        *notes_section(read.notes),
        treatment_section(facts, read.volume, plan.config, plan.origin, stripped is not None),
    )
    return _judged(path, sections, read, plan, full)


def _judged(
    path: Path, sections: tuple[Section, ...], read: ReadVolume, plan: Plan, full: bool
) -> Diagnosis:
    if plan.weights is not None:
        sections += (weights_section(plan.weights, plan.config, read.sha256),)
        if not plan.weights.whole:
            return Diagnosis(
                path, sections, "the weights are damaged: their SHA-256 is not their card's",
                "copy the folder of the weights again",
            )  # fmt: skip
    if not full:
        return Diagnosis(path, sections)
    try:
        prepared, failure = _prepared_section(path, plan.config, read.notes)
    except ScanError as error:
        return _unusable(path, sections, error)
    return Diagnosis(path, (*sections, prepared), failure, "look at the scan" if failure else "")


def _header(path: Path) -> tuple[HeaderFacts | None, ScanError]:
    try:
        return read_header_facts(path), ScanError("")
    except ScanError as error:
        return None, error


def _unusable(path: Path, sections: tuple[Section, ...], error: ScanError) -> Diagnosis:
    return Diagnosis(path, sections, error.what, error.mend)


def _prepared_section(
    path: Path, config: PreprocessConfig, known: tuple[str, ...]
) -> tuple[Section, str]:
    """The quality numbers of the prepared scan, and why it fails, if it does."""
    from neurofm.preprocess.pipeline import prepare_scan

    prepared = prepare_scan(path, config)
    numbers = dataclasses.asdict(prepared.quality)
    verdict, reasons = str(numbers.pop("verdict")), ", ".join(numbers.pop("reasons"))
    findings = [
        Finding(name.replace("_", " "), f"{value:g}" if isinstance(value, float) else str(value))
        for name, value in numbers.items()
    ]
    findings += note_findings(tuple(note for note in prepared.notes if note not in known))
    findings.append(Finding("time", f"{sum(prepared.seconds.values()):.0f} s"))
    remark = f"look at the prepared picture: {reasons}" if verdict == "look" else ""
    findings.append(Finding("quality", verdict, remark, matters=bool(remark)))
    failure = f"prepared, it fails the quality checks: {reasons}" if verdict == "fail" else ""
    return Section("Prepared", tuple(findings)), failure
