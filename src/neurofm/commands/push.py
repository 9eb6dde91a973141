"""`neurofm push`: a bundle goes to the Hugging Face Hub, once somebody has seen what it tells."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import out
from neurofm.errors import ConfigError


def push(
    bundle: Path,
    repository: str,
    *,
    private: Annotated[bool, Parameter(negative="")] = False,
    yes: Annotated[bool, Parameter(negative="")] = False,
    message: str = "",
) -> int:
    """Publish a bundle on the Hugging Face Hub, in one commit; shows first what it tells.

    A bundle or a message that holds a path, the name of a scan or a participant is refused, and
    nothing but the bundle's parts and a page made of its model card is sent.

    Parameters
    ----------
    bundle
        A folder of neurofm bundle.
    repository
        hf://OWNER/NAME; made if it is not there.
    private
        A new repository is open to its owner only.
    yes
        Do not ask.
    message
        Of the commit; it is as public as the bundle.
    """
    from neurofm.commands.publication_text import print_publication
    from neurofm.inference.publication import prepare_publication
    from neurofm.inference.push import push as send
    from neurofm.models.hub import hub_address, parse_hub_reference, require_hub

    require_hub()
    prepared = prepare_publication(bundle, parse_hub_reference(repository), message)
    print_publication(prepared)
    if not yes and not sys.stdin.isatty():
        raise ConfigError("nobody is there to agree", "add --yes", "push")
    if not yes and out.input("Publish this? [y/N] ").strip().lower() not in ("y", "yes"):
        out.print("Nothing was sent.")
        return 1
    pushed = send(prepared, private)
    page = f"{hub_address()}/{pushed.repository}"
    out.print(f"{pushed}\n{page}", markup=False, soft_wrap=True)
    return 0
