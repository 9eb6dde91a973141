"""The pictures of a run's reconstructions for its page: the newest, and a few earlier ones."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from neurofm.training.onlookers import PICTURES

_MOST = 8  # on a page, whose size they make
_COLOURS = 128
_NAME = re.compile(r"epoch-(\d+)\.png")


@dataclass(frozen=True)
class EpochPicture:
    """A picture of a run.

    Attributes:
        epochs: finished when it was drawn; 0 is before the first.
        source: a PNG of few colours as a data URI; the file in the run's folder is exact.
    """

    epochs: int
    source: str

    @property
    def title(self) -> str:
        """Its heading."""
        return f"After epoch {self.epochs}" if self.epochs else "Before the first epoch"


def pictures_of(run: Path) -> tuple[EpochPicture, ...]:
    """The pictures of a run, newest first; of many the first, the last and some between them.

    A file that is no picture is passed over.
    """
    found = {}
    for path in (run / PICTURES).glob("epoch-*.png"):
        name = _NAME.fullmatch(path.name)
        if name:
            found[int(name[1])] = path
    epochs = sorted(found, reverse=True)
    chosen = np.unique(np.linspace(0, len(epochs) - 1, min(_MOST, len(epochs))).round())
    pictures = []
    for place in chosen.astype(int):
        small = _of_few_colours(found[epochs[place]])
        if small:
            encoded = base64.b64encode(small).decode("ascii")
            pictures.append(EpochPicture(epochs[place], f"data:image/png;base64,{encoded}"))
    return tuple(pictures)


def _of_few_colours(path: Path) -> bytes:
    """The picture at less than half its size, without anything written beside its pixels."""
    buffer = io.BytesIO()
    try:
        with Image.open(path) as picture:
            few = picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return b""
    few.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
