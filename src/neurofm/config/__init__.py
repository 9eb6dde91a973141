"""Every knob of neurofm: frozen sections, recipes in YAML, overrides, fingerprints."""

from neurofm.config.learning import (
    EncoderConfig,
    EvaluationConfig,
    SimCLRConfig,
    TrainingConfig,
    ViewsConfig,
)
from neurofm.config.preparation import PhantomConfig, PreprocessConfig, SplitConfig, StoreConfig
from neurofm.config.recipe import Recipe, check_section, load_recipe, packaged_recipes

__all__ = [
    "EncoderConfig",
    "EvaluationConfig",
    "PhantomConfig",
    "PreprocessConfig",
    "Recipe",
    "SimCLRConfig",
    "SplitConfig",
    "StoreConfig",
    "TrainingConfig",
    "ViewsConfig",
    "check_section",
    "load_recipe",
    "packaged_recipes",
]
