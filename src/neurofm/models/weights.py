"""Weights on disk: weights.safetensors with card.json, whole or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from neurofm.errors import WeightsError
from neurofm.files import atomic_path, sha256_of
from neurofm.models.card import Card, read_card, write_card
from neurofm.models.encoder import build_encoder
from neurofm.models.footprint import Saving
from neurofm.models.head import build_head
from neurofm.models.overlap import hash_participants, overlap

__all__ = [
    "Card",
    "LoadedWeights",
    "encoder_of",
    "hash_participants",
    "head_of",
    "load_encoder",
    "load_head",
    "load_weights",
    "overlap",
    "refuse_other_names",
    "save_weights",
]

WEIGHTS_FILE = "weights.safetensors"
_SHOWN_NAMES = 5
_NOTHING = Saving()


@dataclass(frozen=True, eq=False)
class LoadedWeights:
    """Tensors by name ("encoder.*", "projector.*"), on the CPU, and the card beside them."""

    folder: Path
    state: Mapping[str, Tensor]
    card: Card


def save_weights(folder: Path, state: Mapping[str, Tensor], card: Card) -> Card:
    """Write weights and then their card, each atomically.

    Args:
        folder: receives `weights.safetensors` and `card.json`.
        state: tensors named "encoder.*" and "projector.*".
        card: its `weights_sha256` is filled in.

    Returns:
        the card as written.

    Raises:
        WeightsError: a tensor holds NaN or Inf.
    """
    _refuse_not_finite(state, folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with atomic_path(folder / WEIGHTS_FILE) as temporary:
        save_file(tensors, temporary)
    written = card.model_copy(update={"weights_sha256": sha256_of(folder / WEIGHTS_FILE)})
    write_card(folder, written)
    return written


def load_weights(folder: Path) -> LoadedWeights:
    """Read weights whose checksum is the card's.

    Raises:
        WeightsError: weights or card are missing, damaged, of a newer format, or hold NaN or Inf.
    """
    card = read_card(folder)
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise WeightsError("is missing beside its card.json", "copy the folder again", path)
    if sha256_of(path) != card.weights_sha256:
        raise WeightsError(
            "is damaged: its SHA-256 is not the card's", "copy the folder again", path
        )
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"is not a safetensors file ({error})", "", path) from None
    _refuse_not_finite(state, path)
    return LoadedWeights(folder, state, card)


def load_encoder(folder: Path | str) -> nn.Module:
    """The encoder of a run, a bundle or a checkpoint, frozen and in evaluation mode.

    Args:
        folder: a folder with `weights.safetensors` and `card.json`; or what `locate` makes one of:
            "hf://OWNER/NAME", "hf://OWNER/NAME@REVISION", or the file of a published checkpoint.

    Returns:
        a module from volumes (batch, 1, depth, height, width), z-scored inside the brain and zero
        outside, to features (batch, features); 512 features for the paper's model.

    Raises:
        WeightsError: the weights cannot be found or loaded, or do not fit the card's encoder.
    """
    from neurofm.models.references import locate

    return encoder_of(load_weights(locate(folder).folder))


def encoder_of(loaded: LoadedWeights, saving: Saving = _NOTHING) -> nn.Module:
    """The encoder of weights, frozen and in evaluation mode.

    Args:
        loaded: the weights.
        saving: what is computed twice to save memory where gradients are taken.

    Raises:
        WeightsError: they do not fit the card's encoder.
    """
    card = loaded.card
    encoder = build_encoder(card.encoder, saving=saving, spacing_mm=card.spacing_mm)
    state = encoder_tensors(loaded.state)
    refuse_other_names(encoder, state, loaded.folder)
    encoder.load_state_dict(state)
    return encoder.eval().requires_grad_(False)


def load_head(folder: Path) -> nn.Linear:
    """The head of a supervised run, frozen: from the encoder's features to outputs.

    What the outputs say is told by `models.head.predictions` with the card's head.

    Raises:
        WeightsError: the weights cannot be loaded, or hold no head.
    """
    return head_of(load_weights(folder))


def head_of(loaded: LoadedWeights) -> nn.Linear:
    """The head of weights that were read, as `load_head` gives it.

    Raises:
        WeightsError: they hold no head, or one that does not fit the card.
    """
    card = loaded.card
    if card.head is None:
        raise WeightsError("have no head", "make some with: neurofm train", loaded.folder)
    head = build_head(card.features, card.head.outputs)
    prefix = "head."
    state = {
        name.removeprefix(prefix): tensor
        for name, tensor in loaded.state.items()
        if name.startswith(prefix)
    }
    refuse_other_names(head, state, loaded.folder)
    head.load_state_dict(state)
    return head.eval().requires_grad_(False)


def encoder_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's tensors of an objective's, by their names in the encoder."""
    prefix = "encoder."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }


def refuse_other_names(module: nn.Module, state: Mapping[str, Tensor], where: Path) -> None:
    """Raise a `WeightsError` that counts and lists names missing, unexpected or misshapen."""
    expected = module.state_dict()
    misshapen = [
        name for name in expected if name in state and state[name].shape != expected[name].shape
    ]
    faults = [
        f"{len(names)} {kind} ({_some(sorted(names))})"
        for kind, names in (
            ("missing", list(expected.keys() - state.keys())),
            ("unexpected", list(state.keys() - expected.keys())),
            ("of another shape", misshapen),
        )
        if names
    ]
    if faults:
        raise WeightsError(
            f"the weights do not fit the encoder: {', '.join(faults)}",
            "the card and the weights belong to different models",
            where,
        )


def _refuse_not_finite(state: Mapping[str, Tensor], where: Path) -> None:
    bad = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        raise WeightsError(
            f"{len(bad)} tensors hold NaN or Inf ({_some(bad)})",
            "these weights are of no use; go back to an earlier checkpoint",
            where,
        )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN_NAMES])
    return shown if len(names) <= _SHOWN_NAMES else f"{shown}, ..."
