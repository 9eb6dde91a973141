"""The parts of MONAI that neurofm's networks are made of, without the rest of MONAI.

`import monai` loads each of its modules, most of them twice, and transformers where that is
installed: ten seconds before a command begins, for four classes. Whoever has imported MONAI before
neurofm has it as it is.
"""

from __future__ import annotations

import contextlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator
from types import ModuleType

__all__ = ["ResNet", "ResNetBlock", "ResNetBottleneck", "TransformerBlock"]

# MONAI takes it up where it finds it, for a network that is not used here.
_UNNEEDED = "transformers"


@contextlib.contextmanager
def _nothing_more() -> Iterator[None]:
    """Within this block, `import monai` loads no more than is asked for.

    Later, `monai.NAME` loads that part of MONAI when it is first used. Its Transchex, which needs
    transformers, is the only network that cannot be had in this process.
    """
    if "monai" in sys.modules:
        yield
        return
    walk, is_hidden = pkgutil.walk_packages, _UNNEEDED not in sys.modules
    pkgutil.walk_packages = lambda *_, **__: iter(())
    if is_hidden:
        # What import takes for missing.
        sys.modules[_UNNEEDED] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        pkgutil.walk_packages = walk
        if is_hidden:
            del sys.modules[_UNNEEDED]
    sys.modules["monai.utils.module"].walk_packages = walk  # type: ignore[attr-defined]
    sys.modules["monai"].__getattr__ = _part_of_monai  # type: ignore[method-assign]


def _part_of_monai(name: str) -> ModuleType:
    full = f"monai.{name}"
    if name.startswith("_") or importlib.util.find_spec(full) is None:
        raise AttributeError(f"module 'monai' has no attribute '{name}'")
    return importlib.import_module(full)


with _nothing_more():
    # First: MONAI's parts import each other, and in this order alone they do so without an error.
    import monai.apps.utils  # noqa: F401 - isort: skip
    from monai.networks.blocks.transformerblock import TransformerBlock
    from monai.networks.nets.resnet import ResNet, ResNetBlock, ResNetBottleneck
