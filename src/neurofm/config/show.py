"""A recipe written out in full: every value, its unit and why it exists, as YAML."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from neurofm.config.recipe import Recipe


def recipe_as_yaml(recipe: Recipe, explained: bool = True) -> str:
    """The complete effective recipe as YAML that reads back to the same recipe.

    Args:
        recipe: the recipe.
        explained: add unit and reason of each value as a comment.
    """
    head = f"# fingerprint: {recipe.fingerprint()}\n" if explained else ""
    return head + "\n".join(_section_lines(recipe, indent=0, explained=explained)) + "\n"


def _section_lines(section: BaseModel, indent: int, explained: bool) -> list[str]:
    lines = []
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        prefix = "  " * indent + key + ":"
        if isinstance(value, BaseModel):
            about = (type(value).__doc__ or "").strip().splitlines()[0]
            lines.append(f"{prefix}  # {about}" if explained else prefix)
            lines.extend(_section_lines(value, indent + 1, explained))
        else:
            line = f"{prefix} {_scalar(value)}"
            lines.append(f"{line}  # {_explain(field, value)}" if explained else line)
    return lines


def _scalar(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    if isinstance(plain, str):
        return yaml.safe_dump(plain, default_style='"').strip()
    return yaml.safe_dump(plain, default_flow_style=True, width=1000).replace("\n...", "").strip()


def _explain(field: FieldInfo, value: Any) -> str:
    extra = field.json_schema_extra
    unit = extra.get("unit", "-") if isinstance(extra, dict) else "-"
    changed = not field.is_required() and value != field.default
    default = f" (default: {_scalar(field.default)})" if changed else ""
    return f"[{unit}] {field.description or ''}{default}"
