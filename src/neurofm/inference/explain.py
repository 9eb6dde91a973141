"""From raw scans to maps of what a prediction rests on, in template space and in the scan's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from neurofm.config.preparation import PreprocessConfig
from neurofm.data.prepare import model_input, zscore_in_mask
from neurofm.errors import ConfigError, RunError
from neurofm.files import require_writable
from neurofm.inference.derivatives import is_derivatives, whole_folder
from neurofm.inference.embed import Embedded, preprocessing_of
from neurofm.inference.explanation import (
    Asked,
    Explanation,
    MapOfNetwork,
    map_of,
    require_method,
    spearman,
)
from neurofm.inference.map_spaces import on_scan, on_template, raw_grid, transform_of
from neurofm.inference.prepared import prepare_sources, work_folder
from neurofm.inference.readout import Network, load_network, random_network, require_class
from neurofm.inference.sources import is_store
from neurofm.models.card import Card, read_card
from neurofm.models.footprint import Saving
from neurofm.preprocess.contract import contract_of
from neurofm.progress import Progress, SilentProgress
from neurofm.training.device import choose_device
from neurofm.versions import package_version, software_record
from neurofm.volumes.nifti import read_mask, read_volume
from neurofm.volumes.volume import Volume

Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ExplainedScan:
    """What is kept of one scan.

    Attributes:
        name: its scan id; for the names of files only.
        volume: (z, y, x), what the network was given.
        brain: (z, y, x).
        trained: (z, y, x), the network's map.
        randomised: (z, y, x), the map of the same network with random weights.
        on_template: the network's map on the template's 1 mm grid.
        randomised_on_template: the same of random weights.
        on_scan: the network's map at the voxels of the raw file.
        randomised_on_scan: the same of random weights.
        spacing_mm: of the four (z, y, x) arrays.
        record: method, numbers and fingerprints.
    """

    name: str
    volume: Image
    brain: Mask
    trained: Image
    randomised: Image
    on_template: Volume
    randomised_on_template: Volume
    on_scan: Volume
    randomised_on_scan: Volume
    spacing_mm: float
    record: Explanation


def explain_sources(
    sources: Sequence[Path],
    weights: Path,
    asked: Asked,
    receive: Callable[[ExplainedScan], None],
    *,
    work: Path | None = None,
    allow_other_contract: bool = False,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> Embedded:
    """Explain what weights say of each scan of the sources, one after the other.

    Args:
        sources: scan files, folders, tables or indexes of raw scans.
        weights: run folder or weights folder.
        asked: how to explain.
        receive: gets each scan as soon as it is explained.
        work: where the preprocessed scans are kept and found again; None keeps none.
        allow_other_contract: go on where the preprocessing is not the model's, with a note.
        device: where to compute; None takes the GPU where there is one.
        progress: shown the course of the work.

    Raises:
        ConfigError: the method, the class or a setting does not fit the weights; or the source is
            a packed store or a folder of preprocessed scans.
        ContractError: scans cannot be preprocessed as the weights need.
        MissingDependencyError: the library that a method needs is not installed.
        TableError: a source cannot be read.
        WeightsError: the weights cannot be loaded, or have no head for a class.
    """
    card, progress = read_card(weights), progress or SilentProgress()
    require_class(asked.class_name, card, weights)
    require_method(asked, card)
    _require_raw(whole_folder(sources))
    config, notes = preprocessing_of(card, allow_other_contract)
    explainer = _explainer(weights, card, asked, config, progress, device or choose_device())
    with work_folder(work) as folder:
        table, failures = prepare_sources(sources, folder, config, 1, progress)
        usable = table[table["reason"].isna()].to_dict("records")
        for row in usable:
            places = [folder / str(row[name]) for name in ("image_path", "brain_mask_path")]
            receive(explainer.explain(str(row["scan_id"]), Path(str(row["path"])), *places))
    return Embedded(len(usable), failures, notes)


def require_empty(folder: Path) -> None:
    """Refuse, before any work, a folder that holds something or cannot be written to.

    Raises:
        RunError: it does, or it cannot.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError("is a file", "choose another -o", folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise RunError("is not empty", "choose another -o", folder)
    require_writable(folder / "map")


def _require_raw(sources: Sequence[Path]) -> None:
    for is_such, what in ((is_store, "packed"), (is_derivatives, "preprocessed")):
        if is_such(sources):
            words = f"holds {what} scans; a map is laid over a raw one"
            raise ConfigError(words, "give the raw scan", sources[0])


@dataclass(frozen=True, eq=False)
class _Explainer:
    card: Card
    asked: Asked
    config: PreprocessConfig
    trained: Network
    randomised: Network
    progress: Progress
    device: torch.device

    def explain(self, name: str, raw: Path, image_path: Path, mask_path: Path) -> ExplainedScan:
        mask = read_mask(mask_path)
        volume, brain = self._given(read_volume(image_path).volume, mask)
        trained = self._map_of(self.trained, self.asked, volume, brain)
        # the class that the trained network is asked for, not the likeliest of a random one
        same = replace(self.asked, class_name=trained.answer.class_name)
        randomised = self._map_of(self.randomised, same, volume, brain, ", random weights")
        placed, random_placed = (
            on_template(found.image, self.card.spacing_mm, mask) for found in (trained, randomised)
        )
        grid, transform = raw_grid(raw, self.config.assume_orientation), transform_of(image_path)
        return ExplainedScan(
            name=name,
            volume=volume[0, 0].cpu().numpy(),
            brain=brain,
            trained=trained.image,
            randomised=randomised.image,
            on_template=placed,
            randomised_on_template=random_placed,
            on_scan=on_scan(placed, transform, grid),
            randomised_on_scan=on_scan(random_placed, transform, grid),
            spacing_mm=self.card.spacing_mm,
            record=self._record(trained, randomised, brain),
        )

    def _given(self, image: Volume, mask: Volume) -> tuple[Tensor, Mask]:
        """The scan as the network takes it, and its brain."""
        images, masks = model_input(image, mask, self.card.spacing_mm)
        return zscore_in_mask(images, masks).to(self.device), masks[0, 0].numpy()

    def _map_of(
        self, network: Network, asked: Asked, volume: Tensor, brain: Mask, whose: str = ""
    ) -> MapOfNetwork:
        return map_of(network, self.card, asked, volume, brain, progress=self.progress, whose=whose)

    def _record(self, trained: MapOfNetwork, randomised: MapOfNetwork, brain: Mask) -> Explanation:
        pair, unaccounted = (trained.image, randomised.image), None
        if trained.empty_value is not None:
            whole = float(trained.image.sum(dtype=np.float64))
            unaccounted = trained.value - trained.empty_value - whole
        return Explanation(
            method=self.asked.method,
            settings=self.asked.settings(),
            explained=trained.answer.explained,
            value=trained.value,
            prediction=trained.answer.prediction,
            class_name=trained.answer.class_name,
            probability=trained.answer.probability,
            empty_value=trained.empty_value,
            unaccounted=unaccounted,
            spearman=spearman(*pair, brain),
            spearman_absolute=spearman(*pair, brain, is_signed=False),
            random_seed=self.asked.seed,
            weights_sha256=self.card.weights_sha256,
            contract=contract_of(self.config).fingerprint(),
            software=_software(self.asked),
        )


def _software(asked: Asked) -> dict[str, str]:
    captum = package_version("captum") if asked.method == "gradients" else None
    return software_record() | ({"captum": captum} if captum else {})


def _explainer(  # noqa: PLR0917 - what a map depends on
    weights: Path,
    card: Card,
    asked: Asked,
    config: PreprocessConfig,
    progress: Progress,
    device: torch.device,
) -> _Explainer:
    is_frugal = asked.method == "gradients"
    saving = Saving(stem=is_frugal, blocks=is_frugal)
    trained = load_network(weights, saving).to(device)
    randomised = random_network(card, asked.seed, saving).to(device)
    return _Explainer(card, asked, config, trained, randomised, progress, device)
