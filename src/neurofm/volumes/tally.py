"""Whether stored voxels can be a head's intensities, counted block by block while they stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neurofm.errors import ScanError
from neurofm.volumes.header import Header

BLOCK_VOXELS = 1 << 18
_MOST_BAD_VOXELS = 0.001
_LEAST_FOREGROUND = 0.005
# Neighbouring foreground voxels are equal in label maps (0.8 and more) and hardly ever in scans.
_LABEL_MAP_EQUALITY = 0.6


class Tally:
    """Counts over the voxels of one volume, as stored (before slope and intercept)."""

    def __init__(self) -> None:
        self.voxels = 0
        self.bad = 0
        self.lowest = np.inf
        self.highest = -np.inf
        self._background: Any = None
        self._foreground = 0
        self._equal = 0
        self._integral = True

    def add(self, block: npt.NDArray[Any]) -> None:
        """Count one block of consecutive voxels; NaN and Inf count as bad and nothing else."""
        self.voxels += block.size
        if block.dtype.kind == "f":
            block = self._without_bad(block)
        if not block.size:
            return
        if self._background is None:
            self._background = block[0]
        self.lowest = min(self.lowest, float(block.min()))
        self.highest = max(self.highest, float(block.max()))
        foreground = block != self._background
        self._foreground += int(np.count_nonzero(foreground))
        if self._integral:
            self._equal += int(np.count_nonzero((block[1:] == block[:-1]) & foreground[1:]))

    def judge(self, header: Header, where: object) -> tuple[str, ...]:
        """Notes on the whole volume once every block was added.

        Raises:
            ScanError: no finite voxel or too few, all equal, almost empty, a label map, or values
                beyond float32.
        """
        place = str(where)
        notes = self._judge_bad(place)
        if self.lowest == self.highest:
            zero = self.lowest * header.slope + header.intercept == 0
            what = "every voxel is zero" if zero else f"every voxel is {self.lowest:g}"
            raise ScanError(what, "look at the original image", place, kind="constant")
        if self._foreground < _LEAST_FOREGROUND * self.voxels:
            share = self._foreground / self.voxels
            raise ScanError(
                f"is almost empty: {share:.2%} of its voxels differ from the background",
                "look at the original image", place, kind="constant",
            )  # fmt: skip
        if self._integral and self._equal > _LABEL_MAP_EQUALITY * self._foreground:
            raise ScanError(
                "is a mask or label map, not a T1-weighted image", "", place, kind="label-map"
            )
        low, high = self.require_float32(header, where)
        if abs(float(np.float32(high)) - float(np.float32(low))) < np.finfo(np.float32).tiny:
            raise ScanError(
                f"its scaling (slope {header.slope:g}, intercept {header.intercept:g}) leaves "
                "no contrast", "check scl_slope and scl_inter in its header",
                place, kind="constant",
            )  # fmt: skip
        if min(low, high) < 0:
            notes.append(f"has negative values, down to {min(low, high):g}")
        return tuple(notes)

    def require_float32(self, header: Header, where: object) -> tuple[float, float]:
        """The scaled ends of the stored range; both zero where no voxel was finite.

        Raises:
            ScanError: one of them is beyond float32.
        """
        if self.lowest > self.highest:
            return 0.0, 0.0
        low, high = (end * header.slope + header.intercept for end in (self.lowest, self.highest))
        if not max(abs(low), abs(high)) <= float(np.finfo(np.float32).max):
            raise ScanError(
                f"its values reach {max(low, high, key=abs):.3g}, too large for float32",
                "check scl_slope in its header", str(where), kind="overflow",
            )  # fmt: skip
        return low, high

    def _without_bad(self, block: npt.NDArray[Any]) -> npt.NDArray[Any]:
        finite = np.isfinite(block)
        good = int(np.count_nonzero(finite))
        if good < block.size:
            self.bad += block.size - good
            block = block[finite]
        self._integral = self._integral and bool(np.array_equal(block, np.rint(block)))
        return block

    def _judge_bad(self, place: str) -> list[str]:
        if self.bad > _MOST_BAD_VOXELS * self.voxels:
            raise ScanError(
                f"{self.bad / self.voxels:.2%} of its voxels are NaN or infinite",
                "", place, kind="not-finite",
            )  # fmt: skip
        return [f"{self.bad} NaN or infinite voxels were set to 0"] if self.bad else []
