"""Group norm in place of batch norm: every sample by itself."""

from __future__ import annotations

from torch import nn


def replace_by_group_norm(module: nn.Module, groups: int) -> nn.Module:
    """Put a fresh group norm (Wu and He 2018) where `module` has a batch norm, in place.

    Names of weights and biases stay; running statistics are gone.

    Args:
        module: any.
        groups: of channels; divides the width of each norm.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm3d):
            module.add_module(name, nn.GroupNorm(groups, child.num_features))
        else:
            replace_by_group_norm(child, groups)
    return module
