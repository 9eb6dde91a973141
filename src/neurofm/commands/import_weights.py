"""`neurofm import-weights`: a published checkpoint becomes a weights folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import err, out


def import_weights(
    checkpoint: Path,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    allow_incomplete: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Read the paper's published checkpoint into weights.safetensors and card.json.

    Parameters
    ----------
    checkpoint
        A torch.save file, or a tar that holds one, with any ending.
    output
        New folder for the weights; give it to --weights.
    allow_incomplete
        Import what matches even where names are missing or left over.
    """
    from neurofm.models.checkpoint_import import import_checkpoint

    report = import_checkpoint(checkpoint, output, allow_incomplete)
    for names, kind in ((report.missing, "missing"), (report.unexpected, "unexpected")):
        for name in names:
            err.print(f"{kind}: {name}", markup=False, soft_wrap=True)
    out.print(
        f"{len(report.matched)} matched, {len(report.missing)} missing, "
        f"{len(report.unexpected)} unexpected -> {output}",
        markup=False,
        soft_wrap=True,
    )
    return 0
