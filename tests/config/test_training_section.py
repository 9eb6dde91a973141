"""Recipes of training that could never work are refused before anything begins."""

from __future__ import annotations

import pytest

from neurofm.config.recipe import check_recipe
from neurofm.errors import ConfigError


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"batchsize": 4}, "unknown key 'training.batchsize'; did you mean 'training.batch_size'"),
        ({"optimiser": "lars"}, "did you mean 'training.optimizer'"),
        ({"optimizer": "sgd"}, "'adam', 'adamw' or 'lars'"),
        ({"optimizer": True}, "'adam', 'adamw' or 'lars'"),
        ({"schedule": "no"}, "'constant' or 'cosine'"),
        ({"learning_rate": "3e-4"}, "'training.learning_rate': .* number"),
        ({"checkpoint_steps": 2.5}, "'training.checkpoint_steps': .* integer"),
        ({"learning_rate": 0}, "greater than 0"),
        ({"weight_decay": -0.1}, "greater than or equal to 0"),
        ({"momentum": 1.0}, "less than 1"),
        ({"trust_coefficient": 0}, "greater than 0"),
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"batch_size": 1}, "greater than or equal to 2"),
        ({"checkpoint_steps": 0}, "greater than or equal to 1"),
        ({"max_skipped_in_a_row": 0}, "greater than or equal to 1"),
        ({"max_bad_scans": -1}, "greater than or equal to 0"),
        ({"epochs": 5, "warmup_epochs": 5}, "warmup_epochs has to be less than epochs"),
        ({"learning_rate": 0.1, "last_learning_rate": 0.2}, "has to be at most learning_rate"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused_in_one_line(
    training: dict[str, object], message: str
) -> None:
    """Cases 93, 94 and 95."""
    with pytest.raises(ConfigError, match=message) as caught:
        check_recipe({"name": "a", "training": training}, "a test")
    assert "\n" not in str(caught.value)
