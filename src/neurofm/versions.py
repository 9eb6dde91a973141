"""What a run records of the software and machine that made it."""

from __future__ import annotations

import os
import platform
from importlib import metadata

_RECORDED = (
    "neurofm", "numpy", "scipy", "nibabel", "antspyx", "deepbet", "nilearn", "torch", "monai",
    "scikit-learn", "pandas", "pyarrow", "safetensors", "pydantic",
)  # fmt: skip


def package_version(name: str) -> str | None:
    """The installed version of a distribution, or None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def software_record() -> dict[str, str]:
    """Versions of Python, the platform and every library that can change a number.

    Holds no host name, user name or path.
    """
    versions = {name: package_version(name) for name in _RECORDED}
    record = {name: version for name, version in versions.items() if version is not None}
    return record | {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu_count": str(os.cpu_count()),
    }
