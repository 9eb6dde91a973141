"""How the steps of a preprocessing contract are told to a person."""

from __future__ import annotations

from dataclasses import dataclass

from neurofm.preprocess.contract import Contract, Step

_STEPS = {"brain-extraction": "Brain", "bias-field": "Bias field"}
_METHODS = {
    "deepbet": "deepbet; a given mask or an already stripped scan is taken as it is",
    "synthstrip": "SynthStrip; a given mask or an already stripped scan is taken as it is",
    "hd-bet": "HD-BET; a given mask or an already stripped scan is taken as it is",
    "synthseg": "SynthSeg",
    "n4": "N4 of ANTs, inside the brain",
    "ants-rigid": "ANTs, rigid",
    "ants-affine": "ANTs, affine",
    "linear": "once, linear",
    "gaussian-mixture": "three Gaussians with the template's tissue maps",
    "white-stripe-t1": "WhiteStripe: white matter gets mean 0 and standard deviation 1",
}
_SETTINGS = {
    "spacing_mm": "{:g} mm grid",
    "shrink": "shrink factor {:g}",
    "stripe_half_width": "stripe of {:g} to either side",
    "tail_percentile": "tail above the {:g}th percentile",
}


@dataclass(frozen=True)
class StepInWords:
    """One step: its title, and its method, settings and version."""

    title: str
    what: str


def steps_in_words(contract: Contract) -> tuple[StepInWords, ...]:
    """Every step of a contract, in order; what is not known is shown by its own name."""
    return tuple(StepInWords(_title(step), _what(step)) for step in contract.steps)


def grid_in_words(contract: Contract) -> str:
    """The template's grid as "193 x 229 x 193 voxels of 1 mm"."""
    sizes = " \N{MULTIPLICATION SIGN} ".join(map(str, contract.grid_shape))
    return f"{sizes} voxels of {abs(contract.grid_affine[0][0]):g} mm"


def _title(step: Step) -> str:
    return _STEPS.get(step.name, step.name.replace("-", " ").capitalize())


def _what(step: Step) -> str:
    settings = [
        _SETTINGS[name].format(value)
        if name in _SETTINGS and not isinstance(value, str)
        else f"{name.replace('_', ' ')} {value}"
        for name, value in step.parameters.items()
    ]
    return ", ".join([_METHODS.get(step.method, step.method), *settings])
