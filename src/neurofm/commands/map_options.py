"""The options that say how a scan is explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from neurofm.inference.explanation import Asked


@Parameter(name="*")
@dataclass(frozen=True)
class MapOptions:
    """How a map is made.

    Parameters
    ----------
    method
        Hide cubes of the brain, integrate gradients, or Grad-CAM (ResNet only).
    class_name
        The class to explain; the likeliest if not given.
    window_mm
        Occlusion: side of the cube that is hidden.
    stride_mm
        Occlusion: from one cube to the next.
    steps
        Gradients that are integrated.
    seed
        Of the random weights that the map is compared with.
    """

    method: Literal["occlusion", "gradients", "grad-cam"] = "occlusion"
    class_name: Annotated[str | None, Parameter(name="--class")] = None
    window_mm: float = 32.0
    stride_mm: float = 32.0
    steps: int = 32
    seed: int = 0

    def asked(self) -> Asked:
        """The same for the library."""
        from neurofm.inference.explanation import Asked

        return Asked(
            self.method, self.class_name, self.window_mm, self.stride_mm, self.steps, self.seed
        )
