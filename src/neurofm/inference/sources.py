"""What `neurofm embed` accepts: scan files, folders, tables, indexes; all become one index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from neurofm.cohorts.index import read_index, write_index
from neurofm.cohorts.readers import index_sources
from neurofm.config.preparation import PreprocessConfig
from neurofm.errors import TableError
from neurofm.inference.derivatives import refuse_preprocessed
from neurofm.progress import Progress
from neurofm.store.manifest import MANIFEST


def is_store(sources: Sequence[Path]) -> bool:
    """Whether the only source is a packed store."""
    return len(sources) == 1 and (sources[0] / MANIFEST).is_file()


def gather_index(
    sources: Sequence[Path], checked_copy: Path, config: PreprocessConfig, progress: Progress
) -> pd.DataFrame:
    """One index of all sources; a file that cannot be read keeps its row and its problem.

    Args:
        sources: NIfTI files, folders (BIDS, IXI or plain), tables, `index.parquet` files.
        checked_copy: receives the index.
        config: which volume of a series counts, and how voxels lie where a header does not say.
        progress: told about every file that is read.

    Raises:
        TableError: a source does not exist, holds no scan or scans that neurofm has preprocessed,
            or two sources share a scan id.
    """
    refuse_preprocessed(sources)
    tables = [source for source in sources if source.suffix == ".parquet"]
    raw = [source for source in sources if source.suffix != ".parquet"]
    frames = [read_index(table) for table in tables]
    if raw:
        indexed = index_sources(
            raw,
            progress=progress,
            volume_index=config.volume_index,
            assume_orientation=config.assume_orientation,
        )
        frames.append(indexed.frame)
    frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    refuse_preprocessed(map(Path, frame["path"]))
    repeated = frame["scan_id"][frame["scan_id"].duplicated()]
    if len(repeated):
        raise TableError(
            f"two sources hold a scan called '{repeated.iloc[0]}'", "embed them one at a time"
        )
    write_index(frame, checked_copy)
    return frame
