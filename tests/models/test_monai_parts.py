"""MONAI's parts are its own, and the rest of it is loaded only when it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest


def _runs(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_command_loads_neither_monais_transforms_nor_transformers() -> None:
    said = _runs(
        "import sys, neurofm.models.encoder\n"
        "print(*[name for name in sys.modules if name.split('.')[0] == 'transformers'"
        " or name in ('monai.losses', 'monai.engines', 'monai.inferers')])"
    )
    assert not said.strip()


def test_all_of_monai_can_be_used_afterwards() -> None:
    said = _runs(
        "import neurofm.models.monai_parts as parts\n"
        "import monai, monai.networks.nets\n"
        "from monai.networks.nets.resnet import ResNet\n"
        "assert parts.ResNet is ResNet is monai.networks.nets.ResNet\n"
        "monai.transforms.Compose([]), monai.losses.DiceLoss()\n"
        "import pkgutil, monai.utils.module\n"
        "assert monai.utils.module.walk_packages is pkgutil.walk_packages\n"
        "print(len(list(pkgutil.walk_packages(monai.metrics.__path__))) > 5)\n"
        "print(hasattr(monai, 'nothing_of_the_kind'))"
    )
    assert said.split() == ["True", "False"]


@pytest.mark.slow
def test_whoever_has_imported_monai_keeps_it_as_it_is() -> None:
    said = _runs(
        "import monai, sys, pkgutil\n"
        "walk, parts = pkgutil.walk_packages, set(vars(monai))\n"
        "import neurofm.models.monai_parts\n"
        "print(pkgutil.walk_packages is walk, set(vars(monai)) == parts)"
    )
    assert said.split() == ["True", "True"]
