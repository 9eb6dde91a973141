"""Repositories of the Hugging Face Hub: how they are named, and its faults in one line each."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from neurofm.errors import MissingDependencyError, NeurofmError, RunError, WeightsError
from neurofm.models.silenced import silenced

_SCHEME = "hf:"
_FORM = re.compile(
    r"hf://(?P<repository>\b[\w.-]{1,96}\b/\b[\w.-]{1,96}\b)(?:@(?P<revision>\w[\w./+-]*))?",
    re.ASCII,
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NO_MORE_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LOGIN = "hf auth login, or set HF_TOKEN"
_AGAIN = "look at the network, then repeat the command"


@dataclass(frozen=True)
class HubReference:
    """A repository of models, as it is on one of its branches, tags or commits.

    Attributes:
        repository: "OWNER/NAME".
        revision: branch, tag or commit; None for the main branch.
    """

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"hf://{self.repository}{at}"

    @property
    def is_fixed(self) -> bool:
        """Whether it names a commit, which never changes."""
        return self.revision is not None and _COMMIT.fullmatch(self.revision) is not None

    @property
    def name(self) -> str:
        """The repository's name without its owner."""
        return self.repository.partition("/")[2]


def is_hub_reference(text: str) -> bool:
    """Whether a text is meant as a repository on the hub."""
    return text.startswith(_SCHEME)


def parse_hub_reference(text: str) -> HubReference:
    """Read "hf://OWNER/NAME" or "hf://OWNER/NAME@REVISION".

    Raises:
        WeightsError: it has another form.
    """
    found = _FORM.fullmatch(text)
    name = found["repository"] if found else ""
    if found is None or ".." in text or "--" in name or name.endswith(".git"):
        raise WeightsError(
            "is no repository of the hub", "write hf://OWNER/NAME or hf://OWNER/NAME@REVISION", text
        )
    return HubReference(name, found["revision"])


def require_hub() -> None:
    """Refuse to go on without the hub's client.

    Raises:
        MissingDependencyError: it is not installed.
    """
    if find_spec("huggingface_hub") is None:
        raise MissingDependencyError(
            "hf:// needs huggingface_hub, which is not installed", "pip install 'neurofm[hub]'"
        )


def hub_address() -> str:
    """Where the hub is: $HF_ENDPOINT, or the public one."""
    from huggingface_hub import constants

    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or constants.ENDPOINT


@contextlib.contextmanager
def explained_hub(reference: HubReference) -> Iterator[None]:
    """Turn whatever goes wrong between here and the hub into one line.

    Warnings of the hub's client are not shown: the line says it.

    Raises:
        WeightsError: the repository cannot be used, or the hub cannot be reached.
        RunError: the disk is full, or the hub's cache cannot be written to.
    """
    from httpx2 import HTTPError, InvalidURL

    try:
        with silenced("huggingface_hub"):
            yield
    except RuntimeError as error:
        # The client wraps what went wrong with one file of an upload.
        cause = error.__cause__
        if not isinstance(cause, OSError | HTTPError):
            raise
        raise _in_one_line(cause, reference) from None
    except (OSError, HTTPError) as error:
        raise _in_one_line(error, reference) from None
    except InvalidURL:
        raise WeightsError("is no address of a hub", "see HF_ENDPOINT", hub_address()) from None


def _in_one_line(error: BaseException, reference: HubReference) -> NeurofmError:
    from huggingface_hub.errors import LocalEntryNotFoundError

    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        return _in_one_line(error.__cause__, reference)
    number = error.errno if isinstance(error, OSError) else None
    if number in _NO_MORE_ROOM:
        return RunError(
            f"cannot be pulled ({os.strerror(number)})",
            "make room in the hub's cache, or set HF_HOME to another folder", str(reference),
        )  # fmt: skip
    if number in (errno.EACCES, errno.EPERM, errno.EROFS) and isinstance(error, OSError):
        return RunError(
            f"cannot be written ({os.strerror(number)})", "set HF_HOME to another folder",
            error.filename or str(reference),
        )  # fmt: skip
    what, mend = _said(error, reference)
    return WeightsError(what, mend, str(reference))


def _said(error: BaseException, reference: HubReference) -> tuple[str, str]:
    """What is wrong and what to do, in words."""
    from httpx2 import TimeoutException
    from huggingface_hub import errors

    hub = hub_address()
    # Of several that fit the first counts: a gated repository is one that is not found, too.
    for kinds, what, mend in (
        (errors.GatedRepoError, "is gated, and you are not let in",
         f"ask for it at {hub}/{reference.repository}, then: {_LOGIN}"),
        (errors.RevisionNotFoundError, f"has no revision '{reference.revision or 'main'}'",
         "name a branch, a tag or a commit of it"),
        (errors.RepositoryNotFoundError, "is not on the hub, or is private and not open to you",
         f"look at the name; for a private one: {_LOGIN}"),
        (errors.LocalTokenNotFoundError, "needs a token of the hub, and there is none", _LOGIN),
        (errors.OfflineModeIsEnabled, "cannot be reached: HF_HUB_OFFLINE is set", "unset it"),
        ((TimeoutException, TimeoutError), f"{hub} does not answer in time", _AGAIN),
    ):  # fmt: skip
        if isinstance(error, kinds):
            return what, mend
    if isinstance(error, errors.HfHubHTTPError):
        return _said_of_status(error.response.status_code)
    return f"the connection with {hub} fails ({error or type(error).__name__})", _AGAIN


def _said_of_status(status: int) -> tuple[str, str]:
    if status == 401:
        return "the hub does not take your token", _LOGIN
    if status == 403:
        return (
            "your token does not permit this",
            "make one with that right at the hub, then: hf auth login",
        )
    if status == 404:
        return "is not whole on the hub: a file is missing", "ask its owner"
    if status == 429:
        return "the hub got too many requests from you", "wait some minutes"
    return f"the hub answers with status {status}", "wait, then repeat the command"
