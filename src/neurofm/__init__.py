"""neurofm: foundation models of 3D brain MRI, from raw scans to proven embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurofm.models.weights import load_encoder as load_encoder

__all__ = ["load_encoder"]


def __getattr__(name: str) -> Any:
    """Import the public functions when they are first used, so `import neurofm` stays light."""
    if name == "load_encoder":
        from neurofm.models.weights import load_encoder

        return load_encoder
    raise AttributeError(f"module 'neurofm' has no attribute '{name}'")
