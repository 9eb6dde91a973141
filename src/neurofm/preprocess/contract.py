"""The preprocessing contract: everything that decides what a preprocessed voxel means."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from neurofm.config import PreprocessConfig, check_section
from neurofm.config.knobs import Section
from neurofm.errors import ContractError
from neurofm.files import fingerprint_of, read_json, write_json
from neurofm.preprocess.template_source import template_sha256
from neurofm.preprocess.white_stripe import (
    MODE_PLACES,
    STRIPE_HALF_WIDTH,
    TAIL_PERCENTILE,
)
from neurofm.volumes.grids import template_grid

FILE_NAME = "preprocessing.json"
CONTRACT_VERSION = 1
_TISSUE_METHODS = {"mixture": "gaussian-mixture", "synthseg": "synthseg"}


class Step(Section):
    """One step: its method, the version of our use of it, and what it was set to.

    A step's version is raised whenever the same input would give another output.
    """

    name: str
    method: str
    version: int
    parameters: dict[str, float | int | str] = Field(default_factory=dict)


class Contract(Section):
    """The steps in order and the grid of the result.

    Library versions are not part of it: they are in each scan's sidecar.
    """

    version: int
    steps: tuple[Step, ...]
    template_sha256: str
    grid_shape: tuple[int, int, int]
    grid_affine: tuple[tuple[float, float, float, float], ...]
    normalisation: str

    def fingerprint(self) -> str:
        """Sixteen hex digits that change with anything in the contract."""
        return fingerprint_of(self.model_dump(mode="json"))

    def in_words(self) -> tuple[str, ...]:
        """The steps in order, their methods and versions, then how intensities are scaled."""
        steps = (f"{each.name}: {each.method}, version {each.version}" for each in self.steps)
        return (*steps, f"normalisation: {self.normalisation}")


def contract_of(config: PreprocessConfig) -> Contract:
    """The contract that preprocessing with `config` keeps."""
    grid = template_grid(config.spacing_mm)
    return Contract(
        version=CONTRACT_VERSION,
        steps=_steps(config),
        template_sha256=template_sha256(config.template),
        grid_shape=grid.shape,
        grid_affine=tuple((row[0], row[1], row[2], row[3]) for row in grid.affine.tolist()),
        normalisation="white-stripe-t1",
    )


def write_contract(folder: Path, contract: Contract) -> None:
    """Write `preprocessing.json` into a folder of derivatives or a store."""
    write_json(folder / FILE_NAME, contract.model_dump(mode="json"))


def read_contract(folder: Path) -> Contract:
    """Read `preprocessing.json` from a folder.

    Raises:
        ContractError: there is none.
        ConfigError: it is no contract this version of neurofm knows.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise ContractError(
            f"has no {FILE_NAME}", "give a folder that `neurofm preprocess` finished", folder
        )
    return check_section(Contract, read_json(path), path)


def require_same(data: Contract, model: Contract, allow_other: bool = False) -> tuple[str, ...]:
    """Refuse data of one contract for a model of another, or say in a note what differs.

    Raises:
        ContractError: names the first thing that differs, unless `allow_other`.
    """
    difference = difference_of(data, model)
    if not difference:
        return ()
    what = f"the scans were preprocessed differently from the model's: {difference}"
    if not allow_other:
        raise ContractError(
            what,
            "preprocess them with the model's own recipe, or say --allow-other-preprocessing",
        )
    return (what,)


def _steps(config: PreprocessConfig) -> tuple[Step, ...]:
    return (
        Step(name="brain-extraction", method=config.brain_extraction, version=1),
        Step(
            name="bias-field",
            method="n4",
            version=2,
            parameters={
                "spacing_mm": config.bias_field_spacing_mm,
                "shrink": config.bias_field_shrink,
            },
        ),
        Step(
            name="registration",
            method=f"ants-{config.transform}",
            version=4,
            parameters={"spacing_mm": config.registration_spacing_mm},
        ),
        Step(
            name="resampling",
            method="linear",
            version=1,
            parameters={"spacing_mm": config.spacing_mm},
        ),
        Step(name="tissue", method=_TISSUE_METHODS[config.tissue], version=2),
        Step(
            name="normalisation",
            method="white-stripe-t1",
            version=2,
            parameters={
                "stripe_half_width": STRIPE_HALF_WIDTH,
                "tail_percentile": TAIL_PERCENTILE,
                "mode_places": MODE_PLACES,
            },
        ),
    )


def difference_of(data: Contract, model: Contract) -> str:
    """The first difference of two contracts in words; empty where they are the same."""
    ours = {step.name: step for step in data.steps}
    theirs = {step.name: step for step in model.steps}
    for name in [*theirs, *(name for name in ours if name not in theirs)]:
        if ours.get(name) != theirs.get(name):
            return f"step '{name}' is {_words(ours.get(name))}, not {_words(theirs.get(name))}"
    for key in ("template_sha256", "grid_shape", "grid_affine", "normalisation", "version"):
        given, wanted = data.model_dump()[key], model.model_dump()[key]
        if given != wanted:
            return f"{key} is {given}, not {wanted}"
    return ""


def _words(step: Step | None) -> str:
    if step is None:
        return "absent"
    settings = ", ".join(f"{key}={value}" for key, value in step.parameters.items())
    return f"{step.method} version {step.version}" + (f" ({settings})" if settings else "")
