"""`neurofm split`: decide by participant what pre-training may see, once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def split(
    index: Path,
    *overrides: str,
    recipe: Annotated[str, Parameter(name=["--recipe", "-r"])],
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    frozen: Path | None = None,
    drop_unlabelled: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Divide an index by participant, as its recipe's section `split` says, or as a file does.

    All scans of a person, and all people who share an identical file, go to the same side. Who is
    where is written beside the output, with a hash. Another split is never written over.

    Args:
        index: the index to divide.
        overrides: recipe values, section.key=value, e.g. split.preset=paper.
        recipe: a recipe's name or file; its section `split` and its seed decide.
        output: the divided index to write; may be the same file.
        frozen: a split that was drawn before; nothing is drawn, everybody goes where he was.
        drop_unlabelled: a preset leaves people without its label out instead of stopping.
    """
    from neurofm.cohorts import frozen_split
    from neurofm.cohorts.division import divide_index, require_kept
    from neurofm.cohorts.index import read_index, write_index
    from neurofm.cohorts.splits import require_same_split, split_counts
    from neurofm.commands.console import out, show_problems
    from neurofm.config.recipe import load_recipe

    overrides += ("split.drop_unlabelled=true",) if drop_unlabelled else ()
    settings, frame = load_recipe(recipe, overrides), read_index(index)
    if frozen is None:
        divided = divide_index(frame, settings.split, settings.seed)
        drawn_by = frozen_split.drawn_by(settings.split, settings.seed)
    else:
        before = frozen_split.read_frozen(frozen)
        divided, drawn_by = frozen_split.apply_frozen(frame, before), dict(before.drawn_by)
        require_kept(frame, divided.frame)
    require_same_split(divided.frame, output)
    kept = frozen_split.freeze(divided.frame, drawn_by)
    frozen_split.write_frozen(kept, frozen_split.frozen_path(output))
    write_index(divided.frame, output)
    show_problems(divided.notes, ())
    for side, (participants, scans) in split_counts(divided.frame).items():
        out.print(f"{side}: {participants} participants, {scans} scans")
    out.print(f"index: {output} (split {kept.fingerprint()})", markup=False, soft_wrap=True)
    return 0
