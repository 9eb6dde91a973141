"""What is written down of a known cohort, in one YAML file each."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from neurofm.config.knobs import Section
from neurofm.config.recipe import check_section
from neurofm.config.yaml_reader import read_yaml
from neurofm.errors import ConfigError

Condition = Literal["H", "MCI", "AD", "PD", "FTD", "S"]
Layout = Literal["bids", "bids-sets", "loni", "ixi", "fcp-indi", "gsp"]
UseName = Literal["pre-training", "held out"]


class Use(Section):
    """One line of the paper's Table 1.

    Attributes:
        use: what the people are for.
        participants: how many.
        scans: T1 scans of them; None where the paper does not say.
    """

    use: UseName
    participants: int
    scans: int | None = None


class ClinicalTable(Section):
    """A table of diagnoses apart from the table of images.

    Attributes:
        files: pattern of its file names, anywhere below the folder.
        participant, visit, diagnosis: its columns.
    """

    files: str
    participant: str
    visit: str
    diagnosis: str


class KnownCohort(Section):
    """A cohort of the paper.

    Attributes:
        name: as in Table 1; the cohort's name in an index.
        title: in full.
        source: where it is obtained.
        terms: under what terms.
        layout: how its folders look as downloaded.
        uses: its lines of Table 1.
        conditions: who is in it.
        diagnoses: words of its tables and what they mean, besides the usual ones.
        everyone: the condition of people whom no table gives one.
        diagnosis_column: column of the diagnosis, where it has an unusual name.
        age_columns: columns of the age, where they have unusual names.
        ages_by_session: column of the age at each session.
        sexes: codes of its tables, e.g. 1: F.
        missing: words for a missing value, besides the usual ones.
        scales: columns of clinical scales, with the least and the greatest possible value.
        t1_names: words that mark a T1 scan of this cohort, besides the usual ones.
        clinical: a table of diagnoses apart.
        remark: what a user must know.
    """

    name: str
    title: str
    source: str
    terms: str
    layout: Layout
    uses: tuple[Use, ...]
    conditions: tuple[Condition, ...]
    diagnoses: Mapping[str, Condition] = {}
    everyone: Condition | None = None
    diagnosis_column: str | None = None
    age_columns: tuple[str, ...] = ()
    ages_by_session: Mapping[str, str] = {}
    sexes: Mapping[str, str] = {}
    missing: tuple[str, ...] = ()
    scales: Mapping[str, tuple[float, float]] = {}
    t1_names: tuple[str, ...] = ()
    clinical: ClinicalTable | None = None
    remark: str = ""

    @property
    def participants(self) -> int:
        """People of all its lines of Table 1."""
        return sum(use.participants for use in self.uses)


@cache
def known_cohorts() -> tuple[KnownCohort, ...]:
    """The paper's cohorts in the order of Table 1: pre-training first, each by its name."""
    paths = sorted(Path(__file__).parent.glob("*.yaml"))
    cohorts = [check_section(KnownCohort, read_yaml(path), path) for path in paths]
    return tuple(sorted(cohorts, key=lambda each: (each.uses[0].use == "held out", each.name)))


def find_known(name: str) -> KnownCohort:
    """The known cohort of a name, whatever its case.

    Raises:
        ConfigError: there is none.
    """
    by_name = {cohort.name.casefold(): cohort for cohort in known_cohorts()}
    cohort = by_name.get(name.casefold())
    if cohort is None:
        near = difflib.get_close_matches(name.casefold(), by_name, n=1)
        mend = f"did you mean '{by_name[near[0]].name}'?" if near else "see: neurofm cohorts"
        raise ConfigError("is no known cohort", mend, name)
    return cohort
