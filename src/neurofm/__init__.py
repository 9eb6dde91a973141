"""neurofm: foundation models of 3D brain MRI, from raw scans to proven embeddings."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurofm.inference.frames import embed as embed
    from neurofm.inference.frames import predict as predict
    from neurofm.inference.transformer import EmbeddingTransformer as EmbeddingTransformer
    from neurofm.models.embeddings import join_embeddings as join_embeddings
    from neurofm.models.weights import load_encoder as load_encoder

__all__ = ["EmbeddingTransformer", "embed", "join_embeddings", "load_encoder", "predict"]

_HOMES = {
    "EmbeddingTransformer": "neurofm.inference.transformer",
    "embed": "neurofm.inference.frames",
    "join_embeddings": "neurofm.models.embeddings",
    "load_encoder": "neurofm.models.weights",
    "predict": "neurofm.inference.frames",
}


def __getattr__(name: str) -> Any:
    """Import the public functions when they are first used, so `import neurofm` stays light."""
    if name in _HOMES:
        return vars(import_module(_HOMES[name]))[name]
    raise AttributeError(f"module 'neurofm' has no attribute '{name}'")
