"""The benchmark of reconstructions, on a tiny run: its table and its numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import check_recipe
from neurofm.store.packing import pack
from neurofm.store.reader import open_store
from neurofm.training.fit import pretrain

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reconstruction.py"


@pytest.mark.slow
def test_the_table_compares_three_predictors_on_participants_not_seen(
    fake: SimpleNamespace, tmp_path: Path
) -> None:
    derivatives = fake.write(tmp_path / "derivatives", 12)
    index = pd.read_parquet(derivatives / "index.parquet")
    index["split"] = ["pretrain"] * 8 + ["held-out"] * 4
    index.to_parquet(derivatives / "index.parquet")
    pack(derivatives, tmp_path / "store", StoreConfig(spacing_mm=6.0))
    recipe = check_recipe(
        {
            "name": "tiny",
            "store": {"spacing_mm": 6},
            "encoder": {"kind": "vit", "width": 12, "depth": 1, "heads": 2,
                        "patch_voxels": [5, 8, 8]},
            "objective": {"kind": "mae", "decoder_width": 12, "decoder_depth": 1,
                          "decoder_heads": 2},
            "training": {"epochs": 1, "batch_size": 4},
        },
        where="a test",
    )  # fmt: skip
    pretrain(recipe, open_store(tmp_path / "store"), tmp_path / "run", torch.device("cpu"))
    words = [str(tmp_path / "run"), "--store", str(tmp_path / "store"), "--json"]
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    *table, last = done.stdout.splitlines()
    found = json.loads(last)
    assert (found["participants"], found["scans"], found["seen"]) == (2, 4, 8)
    names = ["model", "mean image", "nearest visible patch"]
    names += [f"{name} less model" for name in names[1:]]
    assert [line.split("|")[1].strip() for line in table[4:]] == names
    for patches in ("all", "brain"):
        of = {name: found["mse"][name][patches] for name in names}
        assert all(each["low"] <= each["value"] <= each["high"] for each in of.values())
        # Noise of scans that have nothing in common: a mean says little, another's noise is wrong.
        assert of["mean image"]["value"] < of["nearest visible patch"]["value"]
        gain = of["mean image"]["value"] - of["model"]["value"]
        assert of["mean image less model"]["value"] == pytest.approx(gain)
