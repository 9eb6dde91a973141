"""What needs no learning from images, in every table: the constant, age + sex, site, volumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from neurofm.data.targets import SITE_TASK, site_labels

PRETRAINED = "pre-trained encoder"
RANDOM = "random-weight encoder"
AS_TRAINED = "as trained"
PROBED = "probe of its encoder"
NEAREST = "nearest neighbours"
OF_PAPER = "paper's probe"
CONSTANT = "mean or majority"
AGE_SEX = "age + sex"
SITE = "site only"
VOLUMES = "brain volumes"

# Rows that weights must not be named like.
BASELINES = (RANDOM, CONSTANT, AGE_SEX, SITE, VOLUMES, "age only", "sex only")

_VOLUME_COLUMNS = ("csf_ml", "gm_ml", "wm_ml", "brain_ml")

Reader = Literal["linear", "neighbours", "paper"]


@dataclass(frozen=True, eq=False)
class Model:
    """A row of the table: a name and what its probe reads.

    Attributes:
        name: as the table shows it.
        repeats: features "scans features"; one entry for all repeats, or one for each.
        reader: how they are read: a regularised linear model, the nearest neighbours, or the
            paper's layer.
    """

    name: str
    repeats: tuple[Float[np.ndarray, "scans features"], ...]
    reader: Reader = "linear"

    def features(self, repeat: int) -> Float[np.ndarray, "scans features"]:
        """The features of one repeat."""
        return self.repeats[repeat % len(self.repeats)]


def baselines(frame: pd.DataFrame, task: str) -> list[Model]:
    """The baselines that make sense for a task; none of them reads what it predicts."""
    models = [_volumes(frame), _age_and_sex(frame, task), _site(frame, task)]
    constant = Model(CONSTANT, (np.zeros((len(frame), 0)),))
    return [model for model in models if model is not None] + [constant]


def _volumes(frame: pd.DataFrame) -> Model | None:
    columns = [name for name in _VOLUME_COLUMNS if name in frame]
    if not columns:
        return None
    return Model(VOLUMES, (frame[columns].to_numpy(dtype=np.float64),))


def _age_and_sex(frame: pd.DataFrame, task: str) -> Model | None:
    columns, names = [], []
    if task != "age_years" and "age_years" in frame and frame["age_years"].notna().any():
        columns.append(frame["age_years"].to_numpy(dtype=np.float64))
        names.append("age")
    if task != "sex" and "sex" in frame and frame["sex"].notna().any():
        columns.append(frame["sex"].map({"F": 0.0, "M": 1.0}).to_numpy(dtype=np.float64))
        names.append("sex")
    if not columns:
        return None
    return Model(AGE_SEX if len(names) == 2 else f"{names[0]} only", (np.stack(columns, axis=1),))


def _site(frame: pd.DataFrame, task: str) -> Model | None:
    sites = site_labels(frame)
    if task in (SITE_TASK, "site", "cohort") or sites.nunique() < 2:
        return None
    return Model(SITE, (pd.get_dummies(sites).to_numpy(dtype=np.float64),))
