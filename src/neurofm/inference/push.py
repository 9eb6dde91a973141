"""A bundle goes to the Hugging Face Hub, in one commit."""

from __future__ import annotations

from typing import Any

from neurofm.errors import WeightsError
from neurofm.inference.publication import Publication
from neurofm.models.checksums import CHECKSUMS_FILE, PARTS
from neurofm.models.hub import HubReference, explained_hub, hub_address, require_hub
from neurofm.models.hub_page import PAGE_FILE

_ANSWER_SECONDS = 30.0


def push(publication: Publication, private: bool = False) -> HubReference:
    """Send what was prepared: the parts and the page, nothing else; make the repository first.

    Args:
        publication: what goes where.
        private: a new repository is for its owner only; one that is there must be private.

    Returns:
        the repository as it is with this commit.

    Raises:
        MissingDependencyError: the hub's client is not installed.
        WeightsError: there is no token, or it does not permit this; the hub cannot be reached or
            refuses what is sent; or the repository is public and was to be private.
    """
    require_hub()
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import LocalTokenNotFoundError

    reference = publication.reference
    api = HfApi(endpoint=hub_address(), library_name="neurofm")
    with explained_hub(reference):
        if get_token() is None:
            raise LocalTokenNotFoundError
        found = _existing(api, reference)
        if found is None:
            api.create_repo(reference.repository, private=private or None, exist_ok=True)
        elif private and not found.private:
            raise WeightsError(
                "is public on the hub already",
                "make it private on its page, or leave out --private", str(reference),
            )  # fmt: skip
        commit = _committed(api, publication)
    return HubReference(reference.repository, commit)


def _existing(api: Any, reference: HubReference) -> Any:
    """What the hub says of the repository; None where there is none."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return api.model_info(reference.repository, timeout=_ANSWER_SECONDS)
    except GatedRepoError:
        raise
    except RepositoryNotFoundError:
        return None


def _committed(api: Any, publication: Publication) -> str:
    """Name of the commit that holds the files."""
    from huggingface_hub import CommitOperationAdd

    files = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=publication.folder / name)
        for name in (*PARTS, CHECKSUMS_FILE)
    ]
    page = CommitOperationAdd(path_in_repo=PAGE_FILE, path_or_fileobj=publication.page.encode())
    try:
        done = api.create_commit(
            publication.reference.repository, [*files, page], commit_message=publication.message
        )
    except ValueError as error:
        if isinstance(error, OSError):
            raise
        where = str(publication.reference)
        raise WeightsError(f"the hub refuses what is sent ({error})", "", where) from None
    return str(done.oid)
