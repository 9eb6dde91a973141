"""`neurofm import-weights`: a published checkpoint becomes a weights folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import err, out
from neurofm.commands.weights_reference import show_origin


def import_weights(
    checkpoint: Path,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    adapter: str | None = None,
    allow_incomplete: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Read a checkpoint that others published into weights.safetensors and card.json.

    Parameters
    ----------
    checkpoint
        A torch.save file, or a tar that holds one, with any ending.
    output
        New folder for the weights; give it to --weights.
    adapter
        How to read it: 3d-neuro-simclr (the paper's), medicalnet or monai-resnet; found by the
        names of its tensors where not given.
    allow_incomplete
        Import what matches even where names are missing or left over.
    """
    from neurofm.models.checkpoint_import import import_checkpoint

    report = import_checkpoint(checkpoint, output, allow_incomplete, adapter)
    for names, kind in (
        (report.missing, "missing"),
        (report.unexpected, "unexpected"),
        (report.left_out, "left out, for another task"),
    ):
        for name in names:
            err.print(f"{kind}: {name}", markup=False, soft_wrap=True)
    out.print(f"{report.in_words()} -> {output}", markup=False, soft_wrap=True)
    show_origin(output)
    return 0
