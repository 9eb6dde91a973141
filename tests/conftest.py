"""Fixtures of all tests; jaxtyping's shapes are checked while they run."""

from __future__ import annotations

import importlib
import io
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import jaxtyping
import numpy as np
import pytest

# Tests that run side by side, and the commands they start, have a core each.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Every annotated shape in the tensor packages is checked at each call made by a test.
_HOOK = jaxtyping.install_import_hook(
    [
        "neurofm.data",
        "neurofm.augment",
        "neurofm.models",
        "neurofm.objectives",
        "neurofm.training",
    ],
    "beartype.beartype",
)

_SHARED = Path(__file__).parents[2] / "shared"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@pytest.fixture(scope="session", autouse=True)
def no_other_machine() -> Iterator[None]:
    """Connections end on this machine; one to another is a RuntimeError.

    Of this process only: what a test starts is not watched.
    """
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def near(opened: socket.socket, address: Any) -> None:
        _refuse_other_machine(opened, address)
        connect(opened, address)

    def near_ex(opened: socket.socket, address: Any) -> int:
        _refuse_other_machine(opened, address)
        return connect_ex(opened, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", near)
        patch.setattr(socket.socket, "connect_ex", near_ex)
        yield


def _refuse_other_machine(opened: socket.socket, address: Any) -> None:
    """A place is on this machine where a socket can be bound to it.

    Datagram sockets send nothing when they connect: dask asks them for this machine's address.
    """
    if opened.family not in (socket.AF_INET, socket.AF_INET6) or opened.type == socket.SOCK_DGRAM:
        return
    host, _, *more = address
    if host in _LOOPBACK:
        return
    try:
        with socket.socket(opened.family) as probe:
            probe.bind((host, 0, *more))
    except OSError:
        opened.close()  # libraries that open one close it after an OSError only
        raise RuntimeError(
            f"a test reached for {host}, which is another machine; use a stand-in on 127.0.0.1"
        ) from None


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real scans and reference values, where this machine has it."""
    if not _SHARED.is_dir():
        pytest.skip("needs the reference material in ../shared, which only developers have")
    return _SHARED


@pytest.fixture(scope="session")
def neurofm() -> Callable[..., CompletedProcess[str]]:
    """Run a command in this process, which has imported the libraries already.

    What it prints and its exit status are given as by `subprocess.run`.
    """

    def run(*arguments: object) -> CompletedProcess[str]:
        from neurofm.commands.app import main

        words, status = ["neurofm", *map(str, arguments)], 0
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr("sys.argv", words)
            try:
                main()
            except SystemExit as ended:
                status = int(ended.code or 0)
        return CompletedProcess(words, status, out.getvalue(), err.getvalue())

    return run


FAKE_SPACING_MM = 6.0


def _fake_contract(note: str = "fake") -> Any:
    from neurofm.preprocess.contract import Contract
    from neurofm.volumes.grids import template_grid

    grid = template_grid(FAKE_SPACING_MM)
    affine = tuple((row[0], row[1], row[2], row[3]) for row in grid.affine.tolist())
    return Contract(
        version=1,
        steps=(),
        template_sha256=note,
        grid_shape=grid.shape,
        grid_affine=affine,
        normalisation="none",
    )


def _fake_scan(seed: int) -> tuple[Any, Any]:
    """An image (background -12) and its ellipsoid mask on the template grid."""
    from neurofm.volumes.grids import template_grid
    from neurofm.volumes.volume import Volume

    grid = template_grid(FAKE_SPACING_MM)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in grid.shape], indexing="ij")
    inside = sum((axis / 0.7) ** 2 for axis in axes) < 1
    noise = np.random.default_rng(seed).normal(0, 3, grid.shape)
    image = np.where(inside, noise, -12).astype(np.float32)
    return Volume(image, grid.affine), Volume(inside, grid.affine)


def _fake_row(number: int) -> dict[str, object]:
    """An index row; every participant has two scans."""
    participant, session = f"p{number // 2:02d}", f"s{number % 2}"
    return {
        "scan_id": f"fake_{participant}_{session}",
        "cohort": "fake",
        "participant_id": participant,
        "session_id": session,
        "path": f"/raw/{number}.nii.gz",
        "mask_path": None,
        "age_years": 20.0 + number,
        "sex": "F" if number % 4 < 2 else "M",
        "diagnosis": None,
        "site": None,
        "split": "pretrain",
        "bytes": 1,
        "sha256": f"{number:064d}",
        "problem": None,
        "image_path": f"fake/scan{number:02d}_T1w.nii.gz",
        "brain_mask_path": f"fake/scan{number:02d}_mask.nii.gz",
        "verdict": "pass",
    }


def _write_fake_derivatives(folder: Path, scans: int) -> Path:
    import pandas as pd

    from neurofm.cohorts.index import write_index
    from neurofm.preprocess.contract import write_contract
    from neurofm.volumes.nifti import write_volume

    rows = [_fake_row(number) for number in range(scans)]
    for number, row in enumerate(rows):
        image, mask = _fake_scan(number)
        write_volume(folder / str(row["image_path"]), image)
        write_volume(folder / str(row["brain_mask_path"]), mask, np.uint8)
    write_index(pd.DataFrame(rows), folder / "index.parquet")
    write_contract(folder, _fake_contract())
    return folder


def _save_fake_weights(folder: Path, contract: Any, seed: int = 1) -> Path:
    """A tiny encoder with a head for age, for scans of a contract."""
    from neurofm.config.encoders import ResNetConfig
    from neurofm.models.card import Card
    from neurofm.models.encoder import build_encoder
    from neurofm.models.head import HeadCard, build_head
    from neurofm.models.weights import save_weights

    config = ResNetConfig(widths=(4, 8, 8, 16))
    encoder, head = build_encoder(config, seed=seed).state_dict(), build_head(16, 1).state_dict()
    state = {f"encoder.{name}": tensor for name, tensor in encoder.items()}
    state |= {f"head.{name}": tensor for name, tensor in head.items()}
    card = Card(
        encoder=config, features=16, spacing_mm=6.0,
        head=HeadCard(target="age_years", kind="regression", mean=50.0, spread=10.0),
        contract=contract.model_dump(mode="json"), contract_fingerprint=contract.fingerprint(),
    )  # fmt: skip
    save_weights(folder, state, card)
    return folder


@pytest.fixture(scope="session")
def fake() -> SimpleNamespace:
    """Makers of fake derivatives on a 6 mm grid, and of weights for them.

    contract(note), scan(seed), write(folder, n), weights(folder, contract, seed).
    """
    return SimpleNamespace(
        contract=_fake_contract, scan=_fake_scan, write=_write_fake_derivatives,
        weights=_save_fake_weights,
    )  # fmt: skip


@pytest.fixture
def derivatives(tmp_path: Path) -> Path:
    """What `neurofm preprocess` leaves, without its hours: five scans of three participants."""
    return _write_fake_derivatives(tmp_path / "derivatives", 5)


def _ball(centre_mm: tuple[float, float, float]) -> Any:
    """The voxels of the 1 mm template grid within 65 mm of a place."""
    from neurofm.volumes.grids import template_grid

    grid = template_grid(1.0)
    x, y, z = (
        (np.arange(size) + grid.affine[axis, 3] - centre_mm[axis]) ** 2
        for axis, size in enumerate(grid.shape)
    )
    return x[:, None, None] + y[:, None] + z < 65**2


@pytest.fixture(scope="session")
def turboprep_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders as TurboPrep leaves them: sub-0; sub-1, with other axes; and three not to take.

    A ball on background -4, brighter upwards from 0 to 1 (sub-0) or 2 (sub-1).
    """
    from neurofm.volumes.grids import template_grid
    from neurofm.volumes.nifti import write_volume
    from neurofm.volumes.volume import Volume

    folder = tmp_path_factory.mktemp("turboprep")
    affine = template_grid(1.0).affine
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = template_grid(1.0).shape[0] - 1
    for number, centre in enumerate([(0.0, -20.0, 10.0), (4.0, -20.0, 12.0)]):
        inside = _ball(centre)
        ramp = np.linspace(0, number + 1, inside.shape[2], dtype=np.float32)
        image, place = np.where(inside, ramp, np.float32(-4)), affine
        if number:
            inside, image, place = inside[::-1], image[::-1], affine @ flip
        write_volume(folder / f"sub-{number}" / "normalized.nii.gz", Volume(image, place))
        write_volume(folder / f"sub-{number}" / "mask.nii.gz", Volume(inside, place), np.uint8)
    coarse, place = np.zeros((91, 109, 91), dtype=np.float32), np.diag([2.0, 2, 2, 1])
    coarse[20:70, 20:90, 20:70] = np.random.default_rng(0).uniform(1, 2, (50, 70, 50))
    write_volume(folder / "fsl" / "normalized.nii.gz", Volume(coarse, place))
    write_volume(folder / "fsl" / "mask.nii.gz", Volume(coarse > 0, place), np.uint8)
    nothing = np.zeros(template_grid(1.0).shape, dtype=np.uint8)
    write_volume(folder / "empty" / "mask.nii.gz", Volume(nothing, affine), np.uint8)
    moved = affine.copy()
    moved[0, 3] += 0.5
    write_volume(folder / "moved" / "mask.nii.gz", Volume(_ball((0, -20, 10)), moved), np.uint8)
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A stand-in for the Hugging Face Hub on this host, which its client asks and no other."""
    from huggingface_hub import constants

    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    stand_in = importlib.import_module("hub_stand_in").HubStandIn()
    monkeypatch.setenv("HF_ENDPOINT", stand_in.address)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    # The client has read its environment at import; processes of a test read the one above.
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "hf" / "stored_tokens"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield stand_in
    stand_in.going.set()
    stand_in.stop()
    sys.modules.pop("hub_stand_in", None)


@pytest.fixture
def small_bundle(tmp_path: Path) -> Path:
    """A sealed bundle of a small encoder, whose golden scan and model card are stubs."""
    from neurofm.config.encoders import ResNetConfig
    from neurofm.files import write_text
    from neurofm.models.card import Card
    from neurofm.models.checksums import GOLDEN_FILE, MODEL_CARD_FILE, write_checksums
    from neurofm.models.encoder import build_encoder
    from neurofm.models.weights import save_weights

    folder, config = tmp_path / "small_bundle", ResNetConfig(widths=(4, 8, 8, 16))
    state = build_encoder(config, seed=1).state_dict()
    tensors = {f"encoder.{name}": tensor for name, tensor in state.items()}
    save_weights(folder, tensors, Card(encoder=config, features=16, spacing_mm=6.0))
    write_text(folder / MODEL_CARD_FILE, "# Model card\n")
    write_text(folder / GOLDEN_FILE, "{}\n")
    write_checksums(folder)
    return folder


@pytest.fixture
def medicalnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small checkpoint in MedicalNet's layout; what is imported from it goes to a cache apart."""
    import torch

    from neurofm.config.encoders import MonaiResNetConfig
    from neurofm.models.encoder import build_encoder

    monkeypatch.setenv("NEUROFM_CACHE", str(tmp_path / "cache"))
    config = MonaiResNetConfig(
        blocks=(1, 1, 1, 1), widths=(4, 4, 8, 8), stem_stride=2, shortcut_bias=False
    )
    path = tmp_path / "medicalnet.pth"
    torch.save({"state_dict": build_encoder(config, seed=1).state_dict()}, path)
    return path
