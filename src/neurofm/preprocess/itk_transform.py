"""The transform of a scan as a file that ITK and ANTs read: text, or MATLAB's level-4 format."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from scipy.io import savemat

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_KIND = "AffineTransform_double_3_3"


def itk_text(transform: npt.NDArray[np.float64]) -> str:
    """A transform as an ITK text file, which `antsApplyTransforms` takes for this scan.

    Args:
        transform: (4, 4) scan mm -> template mm, RAS+. The file holds what ITK wants: the map of
            points from template to scan, in LPS+.
    """
    parameters = " ".join(repr(float(value)) for value in _parameters(transform))
    return (
        f"#Insight Transform File V1.0\n#Transform 0\nTransform: {_KIND}\n"
        f"Parameters: {parameters}\nFixedParameters: 0 0 0\n"
    )


def itk_mat(transform: npt.NDArray[np.float64]) -> bytes:
    """The same transform as the bytes of the `.mat` file that ANTs writes."""
    stream = io.BytesIO()
    columns = {_KIND: _parameters(transform)[:, None], "fixed": np.zeros((3, 1))}
    savemat(stream, columns, format="4")
    return stream.getvalue()


def _parameters(transform: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """ITK's twelve numbers: the 3x3 matrix row by row, then the translation."""
    matrix = _LPS_FROM_RAS @ np.linalg.inv(transform) @ _LPS_FROM_RAS
    return np.concatenate([matrix[:3, :3].ravel(), matrix[:3, 3]])
