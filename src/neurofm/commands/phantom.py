"""`neurofm phantom`: simulate a cohort of heads with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import BarProgress, out


def phantom(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    participants: int,
    seed: int = 0,
    spacing_mm: float = 1.0,
    stripped: bool = False,
    sites: int = 3,
    workers: int = 1,
) -> int:
    """Simulate a cohort of heads with known truth, as a BIDS folder.

    Parameters
    ----------
    output
        A new folder; participants.tsv holds ages, sexes, diagnoses and true volumes.
    participants
        How many people; a smaller cohort is the beginning of a larger one.
    seed
        Every random draw follows from it.
    spacing_mm
        Voxel size, 0.5 to 6 mm; each site varies it a little.
    stripped
        Without skull and scalp.
    sites
        How many scanners, 1 to 8.
    workers
        Processes to work with; the result is the same.
    """
    from neurofm.cohorts.phantom import write_phantom_cohort
    from neurofm.config import PhantomConfig, check_section

    values = {
        "participants": participants,
        "spacing_mm": spacing_mm,
        "stripped": stripped,
        "sites": sites,
    }
    config = check_section(PhantomConfig, values, where="phantom")
    write_phantom_cohort(output, config, seed, BarProgress(), workers)
    out.print(f"{participants} participants: {output / 'participants.tsv'}")
    return 0
