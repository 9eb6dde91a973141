"""A frozen network as an ONNX file: plain layers, one file, nothing of this machine in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from neurofm.errors import MissingDependencyError
from neurofm.models.silenced import silenced

INPUT = "volumes"
_LIBRARIES = ("onnx", "onnxscript", "onnxruntime")


def require_onnx() -> None:
    """See that the libraries that write and run ONNX files are there.

    Raises:
        MissingDependencyError: one is not; says how to install them.
    """
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"needs {', '.join(missing)}", "pip install 'neurofm[onnx]'", "neurofm export"
        )


def write_onnx(
    path: Path,
    network: nn.Module,
    example: Float[Tensor, "batch 1 depth height width"],
    outputs: Sequence[str],
    properties: Mapping[str, str],
) -> None:
    """Write a network with a free batch size; the volumes' size is the example's.

    Args:
        path: the file; weights are inside it.
        network: frozen, in evaluation mode, on the CPU; gives as many tensors as `outputs` names.
        example: at least two volumes; what they hold does not matter.
        outputs: names of what the network gives.
        properties: of the file, beside the network.
    """
    # The exporter warns of parts of its own, and of torchvision, which is not needed here.
    with torch.no_grad(), silenced("torch.onnx"):
        program = torch.onnx.export(
            network,
            (example,),
            input_names=[INPUT],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    _forget_machine(program.model)
    program.model.metadata_props.update(properties)
    program.save(path, external_data=False)


def run_onnx(
    path: Path, volumes: Float[Tensor, "batch 1 depth height width"]
) -> list[Float[np.ndarray, "batch values"]]:
    """What a file makes of volumes on the CPU, with onnxruntime: one array for each output."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [np.asarray(found) for found in session.run(None, {INPUT: volumes.numpy()})]


def _forget_machine(model: object) -> None:
    """Take out what the exporter notes of each layer: lines of source with their paths."""
    graph = model.graph  # type: ignore[attr-defined] # onnx_ir's model
    model.metadata_props.clear()  # type: ignore[attr-defined]
    graph.metadata_props.clear()
    for each in (*graph.all_nodes(), *graph.inputs, *graph.outputs, *graph.initializers.values()):
        each.metadata_props.clear()
        each.doc_string = None
        for value in getattr(each, "outputs", ()):
            value.metadata_props.clear()
            value.doc_string = None
