"""`neurofm plan`: what of a recipe fits on which cards, how, and how long it takes."""

from __future__ import annotations

import json
from typing import Annotated

from cyclopts import Parameter, validators

from neurofm.commands.console import out

_Positive = Parameter(validator=validators.Number(gt=0))


def plan(
    recipe: str,
    *overrides: str,
    memory_gb: Annotated[float, _Positive] = 80.0,
    gpus: Annotated[int, _Positive] = 1,
    tflops: Annotated[float, _Positive] = 800.0,
    participants: Annotated[int, _Positive] = 18_759,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Say what fits on a GPU, how, the largest exact batch and the expected time; needs no GPU.

    Parameters
    ----------
    recipe
        Path of a YAML file or the name of a packaged recipe.
    overrides
        Changes to it, each written section.key=value.
    memory_gb
        Memory of one card, as nvidia-smi shows it.
    gpus
        Cards of this kind.
    tflops
        Peak of one card for dense bf16 products: H100 800 in practice, A100 312.
    participants
        Of one epoch; the paper's by default.
    json_
        Print the plan as one JSON object.
    """
    from dataclasses import asdict

    from neurofm.config.recipe import load_recipe
    from neurofm.reports.plan_text import plan_lines
    from neurofm.training.planning import Cards
    from neurofm.training.planning import plan as plan_ways

    effective, cards = load_recipe(recipe, overrides), Cards(memory_gb, gpus, tflops)
    fits = plan_ways(effective, cards, participants)
    if json_:
        record = {"recipe": effective.name, "batch_size": effective.training.batch_size}
        ways = [asdict(fit) for fit in fits]
        print(json.dumps(record | {"cards": asdict(cards), "ways": ways}))  # noqa: T201
        return 0
    for line in plan_lines(effective, cards, participants, fits):
        out.print(line, markup=False, soft_wrap=True)
    return 0
