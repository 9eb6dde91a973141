"""`neurofm export`: weights as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import BarProgress, out
from neurofm.commands.weights_reference import folder_of


def export(
    weights: str,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    tolerance: float = 1e-4,
) -> int:
    """Write weights to an ONNX file, and see that onnxruntime gives what PyTorch gives.

    Parameters
    ----------
    weights
        A run, a bundle, a published checkpoint, or hf://OWNER/NAME[@REVISION].
    output
        The file, .onnx. It is written only where the numbers agree.
    tolerance
        The largest difference that passes, as a share of an output's largest value.
    """
    from neurofm.inference.export import export_weights

    done = export_weights(folder_of(weights), output, tolerance=tolerance, progress=BarProgress())
    found = ", ".join(
        f"{name} within {deviation:.1g} of PyTorch's"
        for name, deviation in zip(done.outputs, done.deviations, strict=True)
    )
    size = f"{done.file_bytes / 1e6:.1f} MB"
    out.print(f"{output}: {size}, {found}", markup=False, soft_wrap=True)
    return 0
