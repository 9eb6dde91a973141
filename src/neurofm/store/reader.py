"""Open a store: quickly, by the sizes of its files; volumes are memory-mapped and never copied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from neurofm.cohorts.index import read_index
from neurofm.errors import StoreError, TableError
from neurofm.files import sha256_of
from neurofm.preprocess.contract import Contract, read_contract
from neurofm.store.manifest import CONTRACT, INDEX, MEND, Manifest, read_manifest
from neurofm.store.shards import ShardPaths, packed_mask_bytes


class Store:
    """Packed volumes by row; make one with `open_store`.

    Attributes:
        folder: where the store lies.
        index: one row a volume, in the order of the volumes, with every label of the derivatives.
        shape: (z, y, x) of every volume.
        spacing_mm: isotropic voxel size.
        contract: the preprocessing all volumes went through.
        content: fingerprint of the scans and settings the store was made from.
    """

    def __init__(self, folder: Path, manifest: Manifest, index: pd.DataFrame) -> None:
        self.folder = folder
        self.index = index
        self.shape = manifest.shape
        self.spacing_mm = manifest.spacing_mm
        self.content = manifest.content
        self.contract: Contract = read_contract(folder)
        self._shards = index["shard"].to_numpy()
        self._shard_rows = index["shard_row"].to_numpy()
        self._offsets = index["store_offset"].to_numpy()
        self._steps = index["store_step"].to_numpy()
        self._sizes = np.bincount(self._shards)
        self._opened: dict[Path, npt.NDArray[np.generic]] = {}

    def __len__(self) -> int:
        return len(self.index)

    def image(self, row: int) -> npt.NDArray[np.uint16]:
        """The stored image (z, y, x) of a row: a read-only view of the file, see `scale`."""
        shard = int(self._shards[row])
        path = ShardPaths(self.folder, shard).images
        image: npt.NDArray[np.uint16] = self._open(path, shard, self.shape, np.uint16)[
            self._shard_rows[row]
        ]
        return image

    def mask(self, row: int) -> npt.NDArray[np.bool_]:
        """The brain mask (z, y, x) of a row, unpacked into fresh memory."""
        count = int(np.prod(self.shape))
        return np.unpackbits(self.mask_bits(row), count=count).view(np.bool_).reshape(self.shape)

    def mask_bits(self, row: int) -> npt.NDArray[np.uint8]:
        """The stored mask of a row, one bit a voxel: a read-only view of the file."""
        shard = int(self._shards[row])
        path = ShardPaths(self.folder, shard).masks
        block = (packed_mask_bytes(self.shape),)
        bits: npt.NDArray[np.uint8] = self._open(path, shard, block, np.uint8)[
            self._shard_rows[row]
        ]
        return bits

    def scale(self, row: int) -> tuple[float, float]:
        """Offset and step of a row: intensity = offset + step * stored."""
        return float(self._offsets[row]), float(self._steps[row])

    def _open(
        self, path: Path, shard: int, block: tuple[int, ...], dtype: type
    ) -> npt.NDArray[np.generic]:
        if path not in self._opened:
            try:
                array: npt.NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise StoreError(f"cannot be opened ({error})", MEND, path) from None
            if array.shape != (self._sizes[shard], *block) or array.dtype != dtype:
                raise StoreError(f"holds {array.dtype} {array.shape}", MEND, path)
            # A plain array over the same pages: indexing a memmap object costs far more.
            self._opened[path] = array.view(np.ndarray)
        return self._opened[path]


def open_store(folder: Path) -> Store:
    """Open a finished store: every file is there at its full size, labels and contract are whole.

    Raises:
        StoreError: not a store, unfinished, or damaged as far as sizes tell; `verify_store` reads
            everything.
    """
    manifest = read_manifest(folder)
    for record in manifest.files:
        path = folder / record.path
        if not path.is_file():
            raise StoreError("is missing from the store", MEND, path)
        size = path.stat().st_size
        if size != record.bytes:
            raise StoreError(f"has {size} bytes instead of {record.bytes}", MEND, path)
        if record.path in (INDEX, CONTRACT) and sha256_of(path) != record.sha256:
            raise StoreError("is damaged: its checksum is another", MEND, path)
    return Store(folder, manifest, _read_index(folder, manifest))


def _read_index(folder: Path, manifest: Manifest) -> pd.DataFrame:
    path = folder / INDEX
    try:
        index = read_index(path)
    except TableError as error:
        raise StoreError(error.what, MEND, path) from None
    if len(index) != manifest.scans:
        raise StoreError(f"has {len(index)} rows for {manifest.scans} scans", MEND, path)
    return index
