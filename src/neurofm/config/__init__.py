"""Every knob of neurofm: frozen sections, recipes in YAML, overrides, fingerprints."""

from neurofm.config.encoders import EncoderConfig, ResNetConfig, ViTConfig
from neurofm.config.learning import EvaluationConfig, TrainingConfig, ViewsConfig
from neurofm.config.objectives import MAEConfig, ObjectiveConfig, SimCLRConfig
from neurofm.config.preparation import PhantomConfig, PreprocessConfig, SplitConfig, StoreConfig
from neurofm.config.recipe import Recipe, check_section, load_recipe, packaged_recipes

__all__ = [
    "EncoderConfig",
    "EvaluationConfig",
    "MAEConfig",
    "ObjectiveConfig",
    "PhantomConfig",
    "PreprocessConfig",
    "Recipe",
    "ResNetConfig",
    "SimCLRConfig",
    "SplitConfig",
    "StoreConfig",
    "TrainingConfig",
    "ViTConfig",
    "ViewsConfig",
    "check_section",
    "load_recipe",
    "packaged_recipes",
]
