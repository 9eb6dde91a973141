"""`neurofm bundle`: weights in a folder that can be given away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import out
from neurofm.commands.weights_reference import folder_of


def bundle(
    run: str,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    licence: str = "",
    intended_use: str = "",
    limits: str = "",
    description: str = "",
    citation: str = "",
    evaluation: Path | None = None,
) -> int:
    """Put weights in a folder to give away: with card, checksums and a golden scan's embedding.

    A text not given stays as the run's card has it. Cards that tell of a participant are refused.

    Parameters
    ----------
    run
        A run, imported weights, hf://OWNER/NAME[@REVISION], or a published checkpoint.
    output
        A new folder; give it to --weights.
    licence
        Under which terms the weights may be used.
    intended_use
        What they are for.
    limits
        What they are not for, or are known to do badly.
    description
        One sentence.
    citation
        What to cite.
    evaluation
        A folder of neurofm evaluate with these weights: its numbers go into the card.
    """
    from neurofm.evaluation.card_metrics import metrics_of
    from neurofm.inference.bundle import Said, make_bundle
    from neurofm.models.card import read_card

    said = Said(
        description=description, citation=citation, terms=licence,
        intended_use=intended_use, limits=limits,
    )  # fmt: skip
    folder = folder_of(run)
    metrics = metrics_of(evaluation, read_card(folder)) if evaluation else None
    digest = make_bundle(folder, output, said, metrics=metrics)
    out.print(f"{output}: SHA-256 over all parts {digest}", markup=False, soft_wrap=True)
    return 0
