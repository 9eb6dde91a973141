"""YAML as people expect it: `012` and `NO` stay text, `1e-3` is a number, keys are unique."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from neurofm.errors import ConfigError


class _PlainLoader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's few implicit types instead of YAML 1.1's many."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as the base class has it

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        repeated = {key for key in keys if keys.count(key) > 1}
        if repeated:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key '{repeated.pop()}' is given twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def _construct_int(loader: _PlainLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


def _construct_float(loader: _PlainLoader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node))


for _tag, _pattern, _first in (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?((0|[1-9][0-9]*)?\.[0-9]+|(0|[1-9][0-9]*)\.?)([eE][-+]?[0-9]+)?",
        list("-+.0123456789"),
    ),
):
    _PlainLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
    )
_PlainLoader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_PlainLoader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def parse_yaml(text: str, where: Path | str) -> Any:
    """The value of a YAML text; a `ConfigError` names line and fault where it is not YAML."""
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigError(f"{line}{error.problem}", "", where) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"is not YAML ({error})", "", where) from None


def read_yaml(path: Path) -> Any:
    """The value in a YAML file, read as UTF-8 with or without a byte-order mark."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text", "save it as UTF-8", path) from None
    return parse_yaml(text, path)
