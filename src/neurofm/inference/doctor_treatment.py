"""The doctor's account of what preprocessing would do to a scan, step by step."""

from __future__ import annotations

import nibabel as nib
import numpy as np

from neurofm.config import PreprocessConfig
from neurofm.errors import ConfigError, MissingDependencyError
from neurofm.inference.diagnosis import Finding, Section
from neurofm.preprocess.back_ends import require_back_ends
from neurofm.preprocess.contract import Contract, Step, contract_of
from neurofm.volumes.grids import template_grid
from neurofm.volumes.header_facts import HeaderFacts
from neurofm.volumes.volume import Volume


def treatment_section(
    facts: HeaderFacts,
    volume: Volume,
    config: PreprocessConfig,
    origin: str,
    is_stripped: bool,
) -> Section:
    """How a scan would be treated with these settings.

    Args:
        facts: its header.
        volume: the scan as it was read, RAS+.
        config: the settings.
        origin: where they come from, in words.
        is_stripped: whether the scan shows a brain alone.
    """
    findings = [
        Finding("settings", f"of {origin}"),
        *_choices(facts, config),
        _reorientation(facts),
    ]
    contract = contract_or_none(config)
    for step in contract.steps if contract else ():
        if step.name == "brain-extraction" and is_stripped:
            findings.append(Finding("brain extraction", "none: the brain is kept as it came"))
        elif step.name == "resampling":
            findings.append(_resampling(volume, config))
        else:
            findings.append(Finding(step.name.replace("-", " "), step_words(step)))
    findings.append(_tools(config))
    return Section("Treatment", tuple(findings))


def contract_or_none(config: PreprocessConfig) -> Contract | None:
    """The contract these settings keep, or None where the template is not on this machine."""
    try:
        return contract_of(config)
    except (ConfigError, MissingDependencyError):
        return None


def step_words(step: Step) -> str:
    """A step as method and settings: "n4 (spacing mm 2, shrink 3)"."""
    settings = ", ".join(
        f"{name.replace('_', ' ')} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in step.parameters.items()
    )
    return step.method + (f" ({settings})" if settings else "")


def _choices(facts: HeaderFacts, config: PreprocessConfig) -> list[Finding]:
    """What the user decided that the file leaves open; the recipe must decide the same."""
    found = []
    if len(facts.dimensions) > 3 and facts.dimensions[3] > 1 and config.volume_index is not None:
        found.append(
            Finding(
                "volume",
                f"{config.volume_index} (from 0)",
                f"the recipe must say preprocess.volume_index={config.volume_index}",
            )
        )
    if not facts.sform_code and not facts.qform_code and config.assume_orientation:
        found.append(
            Finding(
                "assumed orientation",
                config.assume_orientation,
                f"the recipe must say preprocess.assume_orientation={config.assume_orientation}",
            )
        )
    return found


def _reorientation(facts: HeaderFacts) -> Finding:
    affine = facts.qform if facts.sform is None else facts.sform
    if affine is not None and nib.aff2axcodes(affine) == ("R", "A", "S"):
        return Finding("reorientation", "none: the axes are R, A, S already")
    return Finding("reorientation", "axes swapped or turned to R, A, S; no voxel changes its value")


def _resampling(volume: Volume, config: PreprocessConfig) -> Finding:
    factors = [own / config.spacing_mm for own in volume.spacing_mm]
    grid = template_grid(config.spacing_mm)
    shape = " x ".join(str(count) for count in grid.shape)
    factor = " x ".join(f"{value:.3g}" for value in factors)
    kind = (
        "finer" if np.prod(factors) > 1.01 else "coarser" if np.prod(factors) < 0.99 else "as fine"
    )
    return Finding(
        "resampling",
        f"once, linear, to {shape} voxels of {config.spacing_mm:g} mm ({kind}: {factor} result "
        "voxels for each of the scan)",
    )


def _tools(config: PreprocessConfig) -> Finding:
    try:
        require_back_ends(config)
    except (ConfigError, MissingDependencyError) as error:
        return Finding("tools", "something is missing here", str(error), matters=True)
    return Finding("tools", "all there")
