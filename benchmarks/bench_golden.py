"""Whether a bundle made here gives the same embedding in environments made from nothing.

A bundle of the paper's full-size ResNet-18, of random weights, is made in this environment. Then a
virtual environment is made in an empty folder, this project is installed into it from its own
files, and `neurofm doctor --weights` there prepares and encodes the golden scan from its raw
voxels: with the versions of constraints.txt, and with the newest that pyproject.toml allows.

Usage: python benchmarks/bench_golden.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from neurofm.config.recipe import load_recipe
from neurofm.inference.bundle import make_bundle
from neurofm.models.card import Card
from neurofm.models.encoder import build_encoder
from neurofm.models.weights import save_weights
from neurofm.preprocess.contract import contract_of

PROJECT = Path(__file__).parents[1]
VERSIONS = {
    "the versions of constraints.txt": ("-c", "constraints.txt"),
    "the newest versions allowed": (),
}


def main() -> int:
    """Print what each environment finds; 1 where one does not reproduce the embedding."""
    with tempfile.TemporaryDirectory(prefix="neurofm-golden-") as temporary:
        folder = Path(temporary)
        bundle = random_bundle(folder)
        agree = [
            reproduces(bundle, folder / str(number), name, pinned)
            for number, (name, pinned) in enumerate(VERSIONS.items())
        ]
    return 0 if all(agree) else 1


def random_bundle(folder: Path) -> Path:
    """A bundle of the recipe simclr-paper, whose encoder has learnt nothing."""
    recipe = load_recipe("simclr-paper")
    contract = contract_of(recipe.preprocess)
    card = Card(
        encoder=recipe.encoder, features=512, spacing_mm=recipe.store.spacing_mm,
        contract=contract.model_dump(mode="json"), contract_fingerprint=contract.fingerprint(),
        recipe=recipe.model_dump(mode="json"), description="Random weights.",
    )  # fmt: skip
    state = build_encoder(recipe.encoder, seed=1).state_dict()
    save_weights(folder / "run", {f"encoder.{name}": each for name, each in state.items()}, card)
    make_bundle(folder / "run", folder / "bundle")
    return folder / "bundle"


def reproduces(bundle: Path, place: Path, name: str, pinned: tuple[str, ...]) -> bool:
    """Install the project into a new environment and let it judge itself by the bundle."""
    venv.create(place, with_pip=True)
    pip = [str(place / "bin" / "pip"), "install", "--quiet", *pinned]
    started = time.perf_counter()
    for wanted in ("torch", f"{PROJECT}[all]"):
        subprocess.run([*pip, wanted], check=True, cwd=PROJECT, stderr=subprocess.DEVNULL)
    installed = time.perf_counter() - started
    command = [str(place / "bin" / "neurofm"), "doctor", "--weights", str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
    took = time.perf_counter() - started - installed
    print(f"{name}: installed in {installed:.0f} s, judged in {took:.0f} s")
    print(done.stdout.replace(str(bundle), "bundle"), done.stderr, sep="", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
