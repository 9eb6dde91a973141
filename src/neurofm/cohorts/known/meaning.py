"""What the labels of a known cohort mean: conditions, ages at sessions, clinical scales."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from neurofm.cohorts.known.description import Condition, KnownCohort
from neurofm.cohorts.labels import parse_age
from neurofm.cohorts.listing import ListedScan, named
from neurofm.cohorts.text_table import plain_name
from neurofm.errors import TableError

# The label column that keeps a diagnosis as its table writes it.
GIVEN = "diagnosis_given"
_USUAL: dict[str, Condition] = {
    **dict.fromkeys(("h", "hc", "cn", "nc", "nl", "control", "controls", "healthy", "normal"), "H"),
    **dict.fromkeys(("healthy control", "cognitively normal", "cognitively unimpaired"), "H"),
    **dict.fromkeys(("mci", "mild cognitive impairment"), "MCI"),
    **dict.fromkeys(("ad", "alzheimer's disease", "alzheimers disease"), "AD"),
    **dict.fromkeys(("pd", "parkinson's disease", "parkinsons disease"), "PD"),
    **dict.fromkeys(("ftd", "frontotemporal dementia"), "FTD"),
    **dict.fromkeys(("s", "stroke"), "S"),
}


def with_meaning(
    scans: Sequence[ListedScan], cohort: KnownCohort
) -> tuple[list[ListedScan], list[str]]:
    """The scans with the paper's conditions as diagnoses, and notes on how words were read.

    A word that has no meaning leaves the diagnosis empty; the column `diagnosis_given` keeps it.

    Raises:
        TableError: an age or the value of a scale that cannot be meant.
    """
    known = _USUAL | {word.casefold(): meaning for word, meaning in cohort.diagnoses.items()}
    read = [_with_condition(scan, cohort, known) for scan in scans]
    aged = [_with_age(scan, cohort) for scan in read]
    for name, (least, most) in cohort.scales.items():
        _require_scale(aged, name, least, most)
    return aged, _notes(aged)


def _with_condition(
    scan: ListedScan, cohort: KnownCohort, known: dict[str, Condition]
) -> ListedScan:
    word = scan.labels.diagnosis
    if word is None:
        return replace(scan, labels=replace(scan.labels, diagnosis=cohort.everyone))
    others = {**scan.labels.others, GIVEN: word}
    meaning = known.get(word.casefold())
    return replace(scan, labels=replace(scan.labels, diagnosis=meaning, others=others))


def _with_age(scan: ListedScan, cohort: KnownCohort) -> ListedScan:
    column = cohort.ages_by_session.get(scan.session_id or "")
    text = scan.labels.others.get(column) if column else None
    if text is None:
        return scan
    try:
        return replace(scan, labels=replace(scan.labels, age_years=parse_age(text)))
    except ValueError:
        raise TableError(
            f"'{column}' of {scan.participant_id} cannot be '{text}'",
            "write years as a plain number, or n/a", cohort.name,
        ) from None  # fmt: skip


def _require_scale(scans: Sequence[ListedScan], name: str, least: float, most: float) -> None:
    wrong = {
        f"{scan.participant_id} '{text}'"
        for scan in scans
        for column, text in scan.labels.others.items()
        if text is not None and plain_name(column) == name and not _is_within(text, least, most)
    }
    if wrong:
        raise TableError(
            f"'{name}' runs from {least:g} to {most:g}, it cannot be {named(sorted(wrong))}",
            "correct the table, or write n/a", scans[0].cohort,
        )  # fmt: skip


def _is_within(text: str, least: float, most: float) -> bool:
    try:
        return least <= float(text) <= most
    except ValueError:
        return False


def _notes(scans: Sequence[ListedScan]) -> list[str]:
    words = Counter(
        (word, scan.labels.diagnosis) for scan in scans if (word := scan.labels.others.get(GIVEN))
    )
    ordered = sorted(words.items(), key=str)
    read = [f"'{word}' as {meaning} ({n})" for (word, meaning), n in ordered if meaning]
    unknown = [f"'{word}' ({n})" for (word, meaning), n in ordered if meaning is None]
    notes = []
    if read:
        notes.append(f"diagnoses were read so: {', '.join(read)}")
    if unknown:
        notes.append(f"no condition of the paper: {', '.join(unknown)}; left empty, see {GIVEN}")
    return notes
