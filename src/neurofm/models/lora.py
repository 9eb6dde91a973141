"""Low-rank adapters (LoRA): small trained additions to an encoder's layers, merged at the end."""

from __future__ import annotations

from importlib.util import find_spec

import torch
from torch import Tensor, nn

from neurofm.errors import ConfigError
from neurofm.models.encoder import build_with_seed
from neurofm.seeds import seed_of

_OF_ATTENTION = (".attn.qkv", ".attn.out_proj")
_ADAPTER = "default"  # peft's name of the only adapter


def require_peft() -> None:
    """See that the library that puts adapters into a network is there.

    Raises:
        ConfigError: it is not; says how to install it.
    """
    if find_spec("peft") is None:
        raise ConfigError("needs peft", "pip install 'neurofm[lora]'", "tuning.trained=lora")


def add_adapters(encoder: nn.Module, rank: int, alpha: float, seed: int) -> None:
    """Freeze an encoder, in place, and put adapters beside its layers, which alone are trained.

    A layer's W x becomes W x + alpha / rank * B A x (Hu et al. 2022). A is drawn, B is zero, so the
    features are the same as before until something is learnt. In a transformer the attention's
    two layers have adapters (queries, keys and values are one layer; the MLP has none, as in the
    paper), in a ResNet every convolution: A with its kernel, stride and padding, B 1x1x1.

    Args:
        encoder: a `ViT` or a `FrugalResNet`.
        rank: outputs of A.
        alpha: with the rank, how much the addition counts.
        seed: the recipe's; equal seeds give equal adapters.

    Raises:
        ConfigError: peft is not installed.
    """
    require_peft()
    from peft import LoraConfig, inject_adapter_in_model

    targets = [name for name, layer in encoder.named_modules() if _is_adapted(name, layer)]
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets)
    build_with_seed(
        lambda: inject_adapter_in_model(config, encoder, _ADAPTER), seed_of("adapters", seed)
    )


def merged_state(module: nn.Module) -> dict[str, Tensor]:
    """A module's tensors under the names they have without adapters, which are added to them.

    Merged by the formula, as peft's own way fails for 1x1x1 convolutions. `module` stays as it is;
    without adapters this is its `state_dict`.
    """
    state = dict(module.state_dict())
    if not any(f".lora_A.{_ADAPTER}." in name for name in state):
        return state
    from peft.tuners.lora import LoraLayer

    for name, layer in module.named_modules():
        if isinstance(layer, LoraLayer):
            low = state.pop(f"{name}.lora_A.{_ADAPTER}.weight")
            high = state.pop(f"{name}.lora_B.{_ADAPTER}.weight")
            added = torch.einsum("or,ri...->oi...", high.flatten(1), low)
            weight = state.pop(f"{name}.base_layer.weight")
            state[f"{name}.weight"] = weight + layer.scaling[_ADAPTER] * added
            if layer.base_layer.bias is not None:
                state[f"{name}.bias"] = state.pop(f"{name}.base_layer.bias")
    return state


def _is_adapted(name: str, layer: nn.Module) -> bool:
    is_attention = isinstance(layer, nn.Linear) and name.endswith(_OF_ATTENTION)
    return is_attention or isinstance(layer, nn.Conv3d)
