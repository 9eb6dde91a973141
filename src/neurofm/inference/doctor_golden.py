"""The doctor's finding on an installation: does it reproduce a bundle's golden embedding?"""

from __future__ import annotations

from pathlib import Path

from neurofm.errors import NeurofmError
from neurofm.inference.diagnosis import Diagnosis, Finding, Section
from neurofm.inference.golden import (
    RECORDED_TO,
    TOLERANCE,
    Golden,
    GoldenStep,
    make_golden,
    read_golden,
)
from neurofm.models.card import read_card
from neurofm.models.weights import load_encoder


def examine_installation(weights: Path) -> Diagnosis:
    """Make the golden scan of a bundle anew, step by step, and compare it with the recorded one.

    Raises:
        WeightsError: the folder is no bundle, is damaged, or does not fit this version of neurofm.
    """
    card, golden = read_card(weights), read_golden(weights)
    known = _bundle_section(weights, card.description)
    encoder = load_encoder(weights)
    try:
        found = make_golden(
            encoder, card.spacing_mm, golden.preprocess, golden.phantom, golden.seed
        )
    except NeurofmError as error:
        return Diagnosis(
            weights, (known,), f"the golden scan cannot be prepared here: {error.what}", error.mend
        )
    section, problem = _compared(golden, found)
    mend = "install the versions the bundle was made with" if problem else ""
    return Diagnosis(weights, (known, _software(golden, found), section), problem, mend)


def _compared(golden: Golden, found: Golden) -> tuple[Section, str]:
    """A line for each step; and what is wrong, where the embedding is not reproduced."""
    pairs = list(zip(golden.steps, found.steps, strict=True))
    findings = tuple(Finding(wanted.name, _words(wanted, given)) for wanted, given in pairs)
    section = Section("Golden scan", findings)
    wanted, given = pairs[-1]
    if wanted.deviation(given) <= TOLERANCE:
        return section, ""
    first = next(a.name for a, b in pairs if a.deviation(b) > TOLERANCE)
    return section, (
        f"this installation does not reproduce the embedding (off by {wanted.deviation(given):.1e},"
        f" allowed {TOLERANCE:.0e}); the first step that differs is the {first}"
    )


def _words(wanted: GoldenStep, given: GoldenStep) -> str:
    deviation = wanted.deviation(given)
    if wanted.sha256 == given.sha256:
        return "the same to the last bit"
    if deviation <= TOLERANCE:
        return f"the same to {max(deviation, RECORDED_TO):.0e}"
    if wanted.shape != given.shape:
        return f"another shape: {given.shape}, not {wanted.shape}"
    return f"differs by {deviation:.1e}"


def _bundle_section(weights: Path, description: str) -> Section:
    findings = (
        Finding("weights", str(weights), description),
        Finding("checksums", "right, every file of it"),
    )
    return Section("Bundle", findings)


def _software(golden: Golden, found: Golden) -> Section:
    """What is of another version here than where the bundle was made."""
    findings = tuple(
        Finding(name, f"{found.software.get(name, 'none')} here, {version} in the bundle")
        for name, version in golden.software.items()
        if name != "cpu_count" and found.software.get(name) != version
    )
    return Section("Software", findings or (Finding("versions", "as in the bundle"),))
