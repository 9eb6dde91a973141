"""A recipe: the whole scientific record of one experiment, read from YAML and checked once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from neurofm.config.consistency import refuse_wrong_gradients
from neurofm.config.encoders import EncoderConfig, ResNetConfig
from neurofm.config.health import HealthConfig
from neurofm.config.knobs import Section, knob
from neurofm.config.learning import EvaluationConfig, TrainingConfig, ViewsConfig
from neurofm.config.objectives import ObjectiveConfig, SimCLRConfig
from neurofm.config.preparation import (
    PhantomConfig,
    PreprocessConfig,
    SplitConfig,
    StoreConfig,
)
from neurofm.config.tuning import ChoosingConfig, TuningConfig
from neurofm.config.yaml_reader import parse_yaml, read_yaml
from neurofm.errors import ConfigError
from neurofm.files import fingerprint_of

SectionT = TypeVar("SectionT", bound=BaseModel)


class Recipe(Section):
    """Every value that can change a number; command-line flags say only where and how fast."""

    name: str = knob(..., "-", "Short name of the experiment.")
    seed: int = knob(0, "-", "Every random draw follows from it.", ge=0)
    phantom: PhantomConfig = PhantomConfig()
    split: SplitConfig = SplitConfig()
    preprocess: PreprocessConfig = PreprocessConfig()
    store: StoreConfig = StoreConfig()
    views: ViewsConfig = ViewsConfig()
    encoder: EncoderConfig = ResNetConfig()
    objective: ObjectiveConfig = SimCLRConfig()
    tuning: TuningConfig = TuningConfig()
    training: TrainingConfig = TrainingConfig()
    choosing: ChoosingConfig = ChoosingConfig()
    health: HealthConfig = HealthConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any value but the name."""
        return fingerprint_of(self.model_dump(mode="json", exclude={"name"}))


def load_recipe(reference: str | Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe by path or by the name of a packaged one, with overrides applied.

    Args:
        reference: path of a YAML file, or a name such as "demo".
        overrides: `section.key=value`, values written as in YAML.

    Raises:
        ConfigError: no such recipe, unknown key, wrong type or impossible value.
    """
    path = find_recipe(reference)
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ConfigError("is not a list of 'key: value' lines", "compare with recipes/", path)
    for override in overrides:
        _apply_override(values, override)
    return check_recipe({"name": path.stem} | values, where=path)


def check_recipe(values: dict[str, Any], where: Path | str) -> Recipe:
    """Turn plain values into a `Recipe`, or raise one `ConfigError` line naming the first fault."""
    recipe = check_section(Recipe, values, where)
    refuse_wrong_gradients(recipe.encoder, recipe.objective, recipe.training)
    return recipe


def check_section(section: type[SectionT], values: dict[str, Any], where: Path | str) -> SectionT:
    """Validate `values` strictly against any section; the `ConfigError` names key and mend."""
    try:
        return section.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise _as_config_error(section, error, where) from None


def find_recipe(reference: str | Path) -> Path:
    """The file of a recipe given as a path or as the name of a packaged recipe."""
    path = Path(reference)
    if path.is_file():
        return path
    packaged = packaged_recipes()
    if str(reference) in packaged:
        return packaged[str(reference)]
    raise no_such("recipe", reference, packaged)


def no_such(kind: str, reference: str | Path, packaged: Iterable[str]) -> ConfigError:
    """What is said of a recipe or study that is neither a file nor comes with neurofm."""
    names = sorted(packaged)
    near = difflib.get_close_matches(str(reference), names, n=1)
    mend = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names)}"
    return ConfigError(f"no such {kind}", mend, reference)


def packaged_recipes() -> dict[str, Path]:
    """Name and file of every recipe that comes with neurofm."""
    return {path.stem: path for path in sorted(recipes_folder().glob("*.yaml"))}


def recipes_folder() -> Path:
    """Where the recipes that come with neurofm lie: in the package, or in a clone of the source."""
    inside = Path(__file__).parents[1] / "recipes"
    return inside if inside.is_dir() else Path(__file__).parents[3] / "recipes"


def split_override(override: str) -> tuple[list[str], str]:
    """The sections and the key of "section.key=value", and the value as it was written.

    Raises:
        ConfigError: it is not of this form.
    """
    name, equals, text = override.partition("=")
    if not equals or not name:
        raise ConfigError("is not of the form section.key=value", "", override)
    return name.split("."), text


def _apply_override(values: dict[str, Any], override: str) -> None:
    (*sections, key), text = split_override(override)
    target = values
    for section in sections:
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            raise ConfigError(f"'{section}' is a value, not a section", "", override)
    target[key] = parse_yaml(text, override)


def _as_config_error(
    section: type[BaseModel], error: ValidationError, where: Path | str
) -> ConfigError:
    fault = error.errors(include_url=False)[0]
    location, parent = _named(section, [str(part) for part in fault["loc"]])
    key = ".".join(location)
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(location[-1], parent.model_fields, n=1)
        mend = f"did you mean '{'.'.join([*location[:-1], near[0]])}'?" if near else ""
        return ConfigError(f"unknown key '{key}'", mend or "see: neurofm recipe show", where)
    if fault["type"] == "union_tag_invalid":
        given, kinds = fault["ctx"]["tag"], fault["ctx"]["expected_tags"]
        return ConfigError(f"'{key}.kind' is '{given}'", f"there are: {kinds}", where)
    message = fault["msg"][0].lower() + fault["msg"][1:]
    given = "" if fault["type"] == "missing" else f" (given: {json.dumps(fault['input'])})"
    return ConfigError(f"'{key}': {message}{given}", "", where)


def _named(section: type[BaseModel], location: list[str]) -> tuple[list[str], type[BaseModel]]:
    """A place as a recipe names it, without the kinds pydantic adds, and the section it is in."""
    names: list[str] = []
    kinds: dict[str, type[BaseModel]] = {}
    for part in location:
        if part in kinds:
            section, kinds = kinds[part], {}
            continue
        names.append(part)
        field = section.model_fields.get(part)
        if field is None:
            break
        found = sections_in(field.annotation)
        if len(found) == 1:
            section = found[0]
        kinds = {each.model_fields["kind"].default: each for each in found if len(found) > 1}
    return names, section


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """The sections a knob may hold: none for a plain value, several where there are kinds."""
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, BaseModel) else []
    kinds = [get_args(part)[0] if get_args(part) else part for part in get_args(annotation)]
    return [each for each in kinds if isinstance(each, type) and issubclass(each, BaseModel)]
