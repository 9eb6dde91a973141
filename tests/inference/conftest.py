"""Fixtures of the tests of inference."""

from __future__ import annotations

import pytest

from neurofm.config.recipe import Recipe, check_recipe


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    """Scans prepared at 6 mm, and an encoder of 16 features."""
    return check_recipe(
        {
            "name": "tiny",
            "preprocess": {
                "spacing_mm": 6, "registration_spacing_mm": 4, "bias_field_spacing_mm": 6,
                "bias_field_shrink": 2,
            },
            "encoder": {"widths": [4, 8, 8, 16]},
        },
        where="a test",
    )  # fmt: skip
