"""The base of every recipe section: frozen, no unknown keys, each knob with a unit and a reason."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A frozen group of knobs; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def knob(default: Any, unit: str, why: str, **bounds: Any) -> Any:
    """A field with its unit ("mm", "voxels", "-"), the reason for it, and its bounds.

    Args:
        default: the default value; `...` makes the knob required.
        unit: physical unit or "-" for a pure number or a choice.
        why: one sentence: what it does, and where the default comes from.
        bounds: pydantic constraints, e.g. `gt=0`, `le=1`.
    """
    return Field(default, description=why, json_schema_extra={"unit": unit}, **bounds)
