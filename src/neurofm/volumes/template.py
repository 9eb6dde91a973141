"""MNI152 and its tissue priors, as nilearn packages them: no download, no licence file."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np

from neurofm.errors import MissingDependencyError
from neurofm.volumes.volume import Volume

TemplateImage = Literal["t1", "gm", "wm"]


@lru_cache(maxsize=3)
def packaged_template(image: TemplateImage) -> Volume:
    """The MNI152 2009 symmetric T1 (skull-stripped), or its grey or white matter probability.

    197x233x189 voxels at 1 mm, RAS+, float32 between 0 and 1. The array is shared and read-only.

    Raises:
        MissingDependencyError: nilearn, which holds the files, is not installed.
    """
    loaded = nib.load(packaged_template_file(image))
    array = np.asarray(loaded.dataobj, dtype=np.float32) / np.float32(255)
    array.flags.writeable = False
    return Volume(array, np.asarray(loaded.affine, dtype=np.float64))


def packaged_template_file(image: TemplateImage) -> Path:
    """The NIfTI file inside the installed nilearn that holds the T1, GM or WM template."""
    spec = find_spec("nilearn")
    if spec is None or spec.origin is None:
        raise MissingDependencyError(
            "the MNI152 template comes with nilearn", "pip install 'neurofm[prepare]'"
        )
    folder = Path(spec.origin).parent / "datasets" / "data"
    return folder / f"mni_icbm152_{image}_tal_nlin_sym_09a_converted.nii.gz"
