"""Weights from the Hugging Face Hub, kept in its own cache, whole and verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neurofm.errors import WeightsError
from neurofm.models.checksums import CHECKSUMS_FILE, PARTS, verify_checksums
from neurofm.models.hub import HubReference, explained_hub, hub_address, require_hub
from neurofm.models.pull_progress import Course, bars_of
from neurofm.progress import Progress

_NEEDED = ("card.json", "weights.safetensors")
_ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Pulled:
    """A repository's weights on this machine.

    Attributes:
        folder: holds them, in the hub's cache; not to be written to.
        commit: of the repository.
        notes: what a reader must know, in plain words.
    """

    folder: Path
    commit: str
    notes: tuple[str, ...] = ()


def pull(reference: HubReference, progress: Progress) -> Pulled:
    """Bring the parts of a bundle here, unless they are here, and verify them.

    A commit that is in the cache is taken from there; of a branch or tag the hub is asked, and
    where it does not answer, the cache has the last word.

    Args:
        reference: a repository with a bundle, or with the weights and the card of a run.
        progress: shown the course of the work.

    Raises:
        MissingDependencyError: the hub's client is not installed.
        WeightsError: the repository cannot be found, opened or reached, holds no weights, or holds
            a bundle of which anything was changed.
        RunError: the disk is full, or the cache cannot be written to.
    """
    require_hub()
    from huggingface_hub import constants

    cached = _cached(reference) if reference.is_fixed or constants.HF_HUB_OFFLINE else None
    if cached is None and constants.HF_HUB_OFFLINE:
        raise WeightsError(
            "is not in the hub's cache, and HF_HUB_OFFLINE is set",
            "unset it, or pull it beforehand", str(reference),
        )  # fmt: skip
    return _verified(reference, cached or _from_hub(reference, progress))


def _from_hub(reference: HubReference, progress: Progress) -> Pulled:
    from httpx2 import TransportError
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(endpoint=hub_address(), library_name="neurofm")
    with explained_hub(reference):
        try:
            found = api.model_info(
                reference.repository, revision=reference.revision, files_metadata=True,
                timeout=_ANSWER_SECONDS,
            )  # fmt: skip
        except (TransportError, HfHubHTTPError) as error:
            answered = isinstance(error, HfHubHTTPError) and error.response.status_code < 500
            cached = None if answered else _cached(reference)
            if cached is None:
                raise
            note = f"The hub does not answer: {reference} as it was when it was last pulled."
            return Pulled(cached.folder, cached.commit, (note,))
        sizes = {each.rfilename: each.size or 0 for each in found.siblings or ()}
        _require_weights(sizes, reference)
        course = Course(progress, sum(sizes.get(name, 0) for name in _wanted()))
        try:
            folder = snapshot_download(
                reference.repository, revision=reference.revision, allow_patterns=_wanted(),
                endpoint=hub_address(), library_name="neurofm", tqdm_class=bars_of(course),
            )  # fmt: skip
        finally:
            progress.finish()
    return Pulled(Path(folder), Path(folder).name)


def _cached(reference: HubReference) -> Pulled | None:
    """What the cache has of it, if that is all of it; nothing is asked of the hub."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            reference.repository, revision=reference.revision, allow_patterns=_wanted(),
            local_files_only=True,
        )  # fmt: skip
    except LocalEntryNotFoundError:
        return None
    return Pulled(Path(folder), Path(folder).name)


def _wanted() -> list[str]:
    return [*PARTS, CHECKSUMS_FILE]


def _require_weights(files: Mapping[str, int], reference: HubReference) -> None:
    missing = [name for name in _NEEDED if name not in files]
    if missing:
        raise WeightsError(
            f"holds no bundle (no {' and no '.join(missing)})",
            "of another model, download the checkpoint and give its file", str(reference),
        )  # fmt: skip


def _verified(reference: HubReference, pulled: Pulled) -> Pulled:
    try:
        verify_checksums(pulled.folder)
    except WeightsError as error:
        name = Path(error.where or "").name
        raise WeightsError(
            f"{name} {error.what}",
            f"remove {pulled.folder.parents[1]} and repeat the command; if it stays, it is damaged "
            "on the hub: tell its owner", f"{reference} at {pulled.commit}",
        ) from None  # fmt: skip
    if (pulled.folder / CHECKSUMS_FILE).is_file():
        return pulled
    note = f"{reference} is no bundle: only its weights have a checksum, its card has none."
    return Pulled(pulled.folder, pulled.commit, (*pulled.notes, note))
