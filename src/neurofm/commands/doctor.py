"""`neurofm doctor`: can this scan be used, what is odd about it, how would it be treated?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def doctor(
    *scans: Annotated[Path, Parameter(negative="")],
    weights: str | None = None,
    recipe: Annotated[str | None, Parameter(name=["--recipe", "-r"])] = None,
    volume: int | None = None,
    assume_orientation: Literal["LAS", "RAS"] | None = None,
    full: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Say in words whether scans can be used, what is odd about them and how they are treated.

    The exit status is 1 if a scan cannot be used. Free text of headers is never shown.

    Args:
        scans: NIfTI files. Without any, whether this installation reproduces a bundle is checked.
        weights: also say whether the scans suit these weights (a run, a bundle, a checkpoint, or
            hf://OWNER/NAME[@REVISION]); without scans, a bundle.
        recipe: the recipe whose `preprocess` section counts; by default that of the weights, or
            simclr-paper.
        volume: which volume of a 4-D file to look at, from 0.
        assume_orientation: how the voxels lie where a header does not say.
        full: prepare each scan as well, some twenty seconds, and tell its quality.
    """
    from neurofm.commands.console import out
    from neurofm.commands.diagnosis_text import print_diagnosis
    from neurofm.commands.weights_reference import folder_of
    from neurofm.errors import ConfigError
    from neurofm.inference.doctor import examine, plan_for
    from neurofm.inference.doctor_golden import examine_installation

    folder = None if weights is None else folder_of(weights)
    if not scans and folder is not None:
        installation = examine_installation(folder)
        print_diagnosis(installation, out)
        return 0 if installation.usable else 1
    if not scans:
        raise ConfigError("no scan was given", "name one or more NIfTI files", "doctor")
    plan = plan_for(folder, recipe, volume, assume_orientation)
    all_usable = True
    for number, scan in enumerate(scans):
        diagnosis = examine(scan, plan, full)
        if number:
            out.print()
        print_diagnosis(diagnosis, out)
        all_usable = all_usable and diagnosis.usable
    return 0 if all_usable else 1
