"""Import of a foreign checkpoint: every name accounted for, or an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from neurofm.config.objectives import SimCLRConfig
from neurofm.errors import WeightsError
from neurofm.files import sha256_of
from neurofm.models.adapters import Adapted, Adapter, find_adapter
from neurofm.models.card import CARD_FILE, Card
from neurofm.models.checkpoint_file import read_checkpoint
from neurofm.models.encoder import build_encoder
from neurofm.models.import_report import ImportReport, write_report
from neurofm.models.projector import build_projector
from neurofm.models.weights import WEIGHTS_FILE, save_weights
from neurofm.versions import software_record

_WRAPPERS = ("module.", "_orig_mod.")


def import_checkpoint(
    path: Path,
    folder: Path,
    allow_incomplete: bool = False,
    adapter: Adapter | str | None = None,
) -> ImportReport:
    """Turn a foreign checkpoint into `weights.safetensors` and `card.json` in `folder`.

    What became of its names is kept beside them, in `import.json`.

    Names may start with `module.` or `_orig_mod.` (several processes, compiled); half precision
    becomes float32.

    Args:
        path: a `torch.save` file or a tar (also gzipped) that holds one, with any ending.
        folder: a folder without weights.
        allow_incomplete: keep a partial match; names that are missing stay at their random start
            and are listed in the card.
        adapter: how to read it, or an adapter's name; None finds the one that knows the layout.

    Raises:
        WeightsError: the file is no readable checkpoint, no adapter knows it, the names do not
            match completely, or `folder` holds weights already.
    """
    for name in (WEIGHTS_FILE, CARD_FILE):
        if (folder / name).exists():
            raise WeightsError("holds weights already", "choose another -o", folder)
    state = _plain_names(read_checkpoint(path), path)
    try:
        chosen = adapter if isinstance(adapter, Adapter) else find_adapter(state, adapter)
        adapted = chosen.adapt(state)
    except WeightsError as error:
        raise WeightsError(error.what, error.mend, path) from None
    expected = _fresh_model(adapted).state_dict()
    found = _with_counters(adapted.state, expected)
    report = _compare(found, expected, chosen.name, adapted.left_out)
    if not report.matched or not (report.is_complete or allow_incomplete):
        raise WeightsError(_describe(report), _mend(report), path)
    tensors = expected | {name: _as_float32(found[name]) for name in report.matched}
    save_weights(folder, tensors, _card(path, adapted, report))
    write_report(folder, report)
    return report


def _plain_names(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    plain: dict[str, Tensor] = {}
    for full_name, tensor in state.items():
        name = full_name
        while name.startswith(_WRAPPERS):
            name = name.partition(".")[2]
        if name in plain:
            raise WeightsError(f"holds '{name}' twice, with and without a prefix", "", path)
        plain[name] = tensor
    return plain


def _fresh_model(adapted: Adapted) -> nn.ModuleDict:
    encoder = build_encoder(adapted.encoder, spacing_mm=adapted.origin.spacing_mm)
    parts = {"encoder": encoder}
    if adapted.has_projector:
        size = SimCLRConfig().projection_size
        parts["projector"] = build_projector(adapted.encoder.features, size)
    return nn.ModuleDict(parts)


def _with_counters(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Batch norm's counters of batches, which old files lack and no result depends on, as zero."""
    counters = {
        name: torch.zeros_like(tensor)
        for name, tensor in expected.items()
        if name.endswith(".num_batches_tracked")
        and name.replace("num_batches_tracked", "running_mean") in found
    }
    return counters | dict(found)


def _compare(
    found: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    adapter: str,
    left_out: tuple[str, ...],
) -> ImportReport:
    fits = {
        name for name in found if name in expected and found[name].shape == expected[name].shape
    }
    return ImportReport(
        matched=tuple(name for name in expected if name in fits),
        missing=tuple(name for name in expected if name not in fits),
        unexpected=tuple(
            f"{name} {tuple(tensor.shape)}" if name in expected else name
            for name, tensor in found.items()
            if name not in fits
        ),
        adapter=adapter,
        left_out=left_out,
    )


def _as_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if torch.is_floating_point(tensor) else tensor


def _describe(report: ImportReport) -> str:
    parts = [f"{len(report.matched)} names match"]
    for kind, names in (("missing", report.missing), ("unexpected", report.unexpected)):
        if names:
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            parts.append(f"{len(names)} {kind} ({shown})")
    return ", ".join(parts)


def _mend(report: ImportReport) -> str:
    if not report.matched:
        return "this is another architecture's checkpoint"
    return "--allow-incomplete imports what matches"


def _card(path: Path, adapted: Adapted, report: ImportReport) -> Card:
    origin, contract = adapted.origin, adapted.origin.contract
    return Card(
        encoder=adapted.encoder,
        features=adapted.encoder.features,
        spacing_mm=origin.spacing_mm,
        contract=None if contract is None else contract.model_dump(mode="json"),
        contract_fingerprint=None if contract is None else contract.fingerprint(),
        takes_neurofm_steps=contract is not None,
        cohorts=origin.cohorts,
        initialised=report.missing,
        software=software_record(),
        description=origin.description,
        source=f"{origin.source} (file with SHA-256 {sha256_of(path)})",
        citation=origin.citation,
        terms=origin.terms,
    )
