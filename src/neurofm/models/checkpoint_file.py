"""Foreign checkpoint files: what they are is judged by content, and no code in them ever runs."""

from __future__ import annotations

import pickle
import shutil
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from neurofm.errors import WeightsError

_HEAD_BYTES = 512
_LARGEST_BYTES = 64 * 2**30
_AGAIN = "download it again"
_ZIP = b"PK\x03\x04"  # what torch.save writes today
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # before torch 1.6


def read_checkpoint(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a `torch.save` file, bare or inside a tar, with any ending.

    They are its `model_state_dict` or `state_dict`, or all that it holds.

    Read with `weights_only=True` and nothing else: a file that needs code to load is refused.

    Raises:
        WeightsError: no such file, not a checkpoint (web page, LFS pointer, empty), truncated,
            damaged, or holding other things than tensors.
    """
    _refuse_what_is_no_checkpoint(path)
    with _opened(path) as file:
        content = _load_tensors_only(file, path)
    state = _state_of(content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state:
        raise WeightsError("holds no 'model_state_dict'", "give a training checkpoint", path)
    others = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise WeightsError(
            f"holds no 'model_state_dict', but {', '.join(others[:5])}",
            "give a training checkpoint",
            path,
        )
    return {str(name): tensor for name, tensor in state.items()}


def _state_of(content: dict[Any, Any]) -> Any:
    for key in ("model_state_dict", "state_dict"):
        if key in content:
            return content[key]
    return content


def _refuse_what_is_no_checkpoint(path: Path) -> None:
    if path.is_dir():
        raise WeightsError("is a folder", "give the checkpoint file itself", path)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError:
        raise WeightsError("no such file", "check the path", path) from None
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", "check its rights", path) from None
    text = head.lstrip()[:64].lower()
    if not head:
        raise WeightsError("is empty", _AGAIN, path)
    if text.startswith(b"version https://git-lfs"):
        raise WeightsError("is a Git LFS pointer, not the file", "run: git lfs pull", path)
    if text.startswith((b"<", b"{")):
        raise WeightsError("is a web page or an error message, not a checkpoint", _AGAIN, path)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The checkpoint's bytes: the file itself, or the one checkpoint inside a tar."""
    with path.open("rb") as file:
        if _starts_like_a_checkpoint(file.read(4)):
            file.seek(0)
            yield file
            return
    if not tarfile.is_tarfile(path):
        raise WeightsError("is neither a torch.save file nor a tar, or damaged", _AGAIN, path)
    with tempfile.TemporaryFile() as unpacked:
        try:
            with tarfile.open(path) as archive:
                _unpack_the_one_checkpoint(archive, unpacked, path)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise WeightsError(f"is a damaged archive ({error})", _AGAIN, path) from None
        yield unpacked


def _unpack_the_one_checkpoint(archive: tarfile.TarFile, target: IO[bytes], path: Path) -> None:
    found = [member for member in archive if member.isfile() and _is_checkpoint(archive, member)]
    if len(found) != 1:
        names = ", ".join(member.name for member in found) or "none"
        raise WeightsError(
            f"is an archive with {len(found)} checkpoints in it ({names}), expected 1",
            "unpack it and give the checkpoint",
            path,
        )
    if found[0].size > _LARGEST_BYTES:
        raise WeightsError(f"{found[0].name} claims {found[0].size} bytes", _AGAIN, path)
    member = archive.extractfile(found[0])
    if member is not None:
        shutil.copyfileobj(member, target, length=2**22)
    target.seek(0)


def _is_checkpoint(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bool:
    file = archive.extractfile(member)
    return file is not None and _starts_like_a_checkpoint(file.read(4))


def _starts_like_a_checkpoint(head: bytes) -> bool:
    return head.startswith((_ZIP, *_PICKLES))


def _load_tensors_only(file: IO[bytes], path: Path) -> Any:
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                damaged = archive.testzip()
            if damaged:
                raise WeightsError(f"is damaged: {damaged} has a wrong checksum", _AGAIN, path)
        file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise WeightsError(
            "is damaged or holds other things than tensors; none of it was run",
            "ask its makers for a checkpoint that torch.load(weights_only=True) reads",
            path,
        ) from None
    except _DAMAGE as error:
        raise WeightsError(
            f"is truncated or damaged ({_first_line(error)})", _AGAIN, path
        ) from None


# What torch's reader raises for bytes that were cut off or changed.
_DAMAGE = (
    RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError,
    AssertionError, struct.error, zipfile.BadZipFile,
)  # fmt: skip


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
