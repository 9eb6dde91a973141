"""The run folder: whose it is, what it was started with, whether it is finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from neurofm.config.recipe import Recipe, load_recipe
from neurofm.config.show import recipe_as_yaml
from neurofm.errors import RunError
from neurofm.files import read_json, sweep_unfinished, write_json, write_text
from neurofm.models.card import CARD_FILE
from neurofm.store.reader import Store
from neurofm.training.precision import choose_numerics, numerics_record
from neurofm.training.run_log import LOG_FILE
from neurofm.versions import software_record

RECIPE_FILE, SOFTWARE_FILE, DATA_FILE = "recipe.yaml", "software.json", "data.json"
_MAY_CHANGE = (
    "training.checkpoint_steps",
    "training.checkpoint_epochs",
    "training.max_bad_scans",
    "training.max_skipped_in_a_row",
)
_SECTIONS = ("seed", "views", "encoder", "objective", "training")  # what pre-training reads
_OF_SUPERVISED = ("tuning", "choosing", "split")  # and supervised training besides


def claim_run(
    folder: Path, recipe: Recipe, store: Store, device: torch.device, start: str | None = None
) -> None:
    """Make `folder` the run of this recipe on this store, or see that it is already.

    `software.json` tells where and how it began: versions, device, precision.

    Args:
        folder: the run's.
        recipe: of the run.
        store: that it reads.
        device: that computes it.
        start: SHA-256 of the weights a supervised run starts from; None without any.

    Raises:
        RunError: it belongs to another recipe, store or start; the differing keys are shown.
    """
    sweep_unfinished(folder)
    data = {"content": store.content, "contract": store.contract.fingerprint()}
    data |= {"start": start} if start else {}
    if (folder / RECIPE_FILE).is_file():
        _refuse_other_recipe(folder, recipe)
        if (folder / DATA_FILE).is_file() and read_json(folder / DATA_FILE) != data:
            raise RunError(
                "this run was started on another store or from other weights",
                "choose another -o",
                folder,
            )
    elif (folder / CARD_FILE).exists() or (folder / LOG_FILE).exists():
        raise RunError("holds something else already", "choose another -o", folder)
    else:
        numerics = choose_numerics(recipe.training, device)
        write_json(folder / SOFTWARE_FILE, software_record() | numerics_record(numerics, device))
        write_text(folder / RECIPE_FILE, recipe_as_yaml(recipe))
    write_json(folder / DATA_FILE, data)


def other_numerics(folder: Path, recipe: Recipe, device: torch.device) -> str:
    """How this process computes otherwise than the run began, as one line; mostly empty."""
    began = read_json(folder / SOFTWARE_FILE) if (folder / SOFTWARE_FILE).is_file() else {}
    now = numerics_record(choose_numerics(recipe.training, device), device)
    differing = [
        f"{key} was {began[key]} and is now {now[key]}"
        for key in sorted(began.keys() & now.keys())
        if began[key] != now[key]
    ]
    text = f"this run began otherwise: {', '.join(differing)}; its numbers will differ slightly"
    return text if differing else ""


def record_weights(folder: Path, objective: nn.Module) -> None:
    """Add to `software.json` how many weights a model has and how many of them are trained."""
    parameters = list(objective.parameters())
    counts = {
        "weights": sum(each.numel() for each in parameters),
        "trained_weights": sum(each.numel() for each in parameters if each.requires_grad),
    }
    path = folder / SOFTWARE_FILE
    known = read_json(path) if path.is_file() else {}
    write_json(path, known | {name: str(count) for name, count in counts.items()})


def is_finished(folder: Path) -> bool:
    """Whether the run has come to its end and saved its weights."""
    return (folder / CARD_FILE).is_file()


def _refuse_other_recipe(folder: Path, recipe: Recipe) -> None:
    there = _flat(load_recipe(folder / RECIPE_FILE).model_dump(mode="json"))
    here = _flat(recipe.model_dump(mode="json"))
    sections = _SECTIONS + (_OF_SUPERVISED if recipe.objective.kind == "supervised" else ())
    differing = [
        f"{key} is {there.get(key)} there and {here.get(key)} here"
        for key in sorted(there.keys() | here.keys())
        if key.split(".")[0] in sections
        and key not in _MAY_CHANGE
        and there.get(key) != here.get(key)
    ]
    if differing:
        raise RunError(
            f"holds a run of another recipe: {', '.join(differing)}", "choose another -o", folder
        )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
