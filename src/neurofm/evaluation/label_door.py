"""Whether an index says what a recipe will ask of it, known before scans are prepared or read."""

from __future__ import annotations

import pandas as pd

from neurofm.cohorts.sides import has_part
from neurofm.config.objectives import SupervisedConfig
from neurofm.config.recipe import Recipe
from neurofm.data.label_checks import refuse_codes, require_labels
from neurofm.evaluation.probing import is_held_out, task_names
from neurofm.training.task import require_told


def require_labels_of(recipe: Recipe, index: pd.DataFrame) -> None:
    """See that an index has the labels of a recipe's training and evaluation.

    Args:
        recipe: of a whole path; with a head its target alone is evaluated.
        index: divided.

    Raises:
        TableError: no such column, labels that may be codes, or people without a label.
    """
    if isinstance(recipe.objective, SupervisedConfig):
        require_told(index, recipe.objective, recipe.split)
    elif recipe.evaluation.parts == "folds":
        held_out = is_held_out(index)
        require_folds_told(recipe, index, index[held_out] if held_out.any() else index)
    else:
        for name in task_names(index[has_part(index)], recipe.evaluation.targets):
            require_told(index, SupervisedConfig(target=name), recipe.split)


def require_folds_told(recipe: Recipe, index: pd.DataFrame, frame: pd.DataFrame) -> None:
    """The same of an evaluation by folds.

    Args:
        recipe: its targets, and whether people may be left out.
        index: where codes are told from numbers; more people show more of them.
        frame: the rows of it that are evaluated.

    Raises:
        TableError: as `require_labels_of`.
    """
    for name in task_names(frame, recipe.evaluation.targets):
        refuse_codes(index, name)
        if not recipe.split.drop_unlabelled:
            require_labels(frame, name)
