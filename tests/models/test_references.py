"""A checkpoint given for weights is imported once; a folder is what it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from neurofm.config.encoders import ResNetConfig
from neurofm.errors import RunError, WeightsError
from neurofm.files import sha256_of
from neurofm.models.checkpoint_import import import_checkpoint
from neurofm.models.encoder import build_encoder
from neurofm.models.imported import cache_folder
from neurofm.models.projector import build_projector
from neurofm.models.references import locate
from neurofm.models.weights import load_encoder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROFM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The names and shapes of the paper's, in half precision to keep the file small."""
    parts = {
        "encoder": build_encoder(ResNetConfig(), seed=5),
        "projector": build_projector(512, 64),
    }
    state = {
        f"{part}.{name}": tensor.half() if tensor.is_floating_point() else tensor
        for part, module in parts.items()
        for name, tensor in module.state_dict().items()
    }
    path = tmp_path_factory.mktemp("made") / "simclr_3d_brain_foundation.tar"
    torch.save({"model_state_dict": state}, path)
    return path


@pytest.fixture
def checkpoint(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made, tmp_path))


def imports(cache: Path) -> list[Path]:
    return sorted((cache / "imported").glob("*/*"))


def test_a_folder_is_taken_as_it_is(small_bundle: Path) -> None:
    found = locate(small_bundle)
    assert (found.folder, found.name, found.notes) == (small_bundle, "small_bundle", ())


def test_a_checkpoint_is_imported_once_and_gives_what_import_weights_gives(
    checkpoint: Path, cache: Path, tmp_path: Path
) -> None:
    found = locate(str(checkpoint))
    assert imports(cache) == [found.folder]
    assert found.folder.name == sha256_of(checkpoint)
    assert found.name == "simclr_3d_brain_foundation"
    coverage = "3d-neuro-simclr: 125 tensors loaded, 0 missing, 0 unexpected"
    assert found.notes == (f"{checkpoint} as imported in {found.folder}", coverage)
    import_checkpoint(checkpoint, tmp_path / "weights")
    assert locate(tmp_path / "weights").notes == (coverage,)
    for name in ("weights.safetensors", "card.json", "import.json"):
        assert (found.folder / name).read_bytes() == (tmp_path / "weights" / name).read_bytes()
    before = (found.folder / "card.json").stat().st_mtime_ns
    moved = checkpoint.rename(tmp_path / "other.pt")
    volumes = torch.zeros(1, 1, 16, 16, 16)
    assert torch.equal(load_encoder(moved)(volumes), load_encoder(found.folder)(volumes))
    assert (found.folder / "card.json").stat().st_mtime_ns == before
    assert imports(cache) == [found.folder]


@pytest.mark.slow
def test_a_damaged_import_is_made_again(checkpoint: Path, cache: Path) -> None:
    folder = locate(checkpoint).folder
    whole = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(whole[:-1])
    assert locate(checkpoint).folder == folder
    assert (folder / "weights.safetensors").read_bytes() == whole
    for name in ("card.json", "import.json"):
        (folder / name).unlink()
        locate(checkpoint)
        assert imports(cache) == [folder]
        assert (folder / name).is_file()


_IMPORT = """
import sys, time
from pathlib import Path
from neurofm.models.references import locate

Path(sys.argv[2]).touch()
while not Path(sys.argv[3]).exists():
    time.sleep(0.01)
assert (locate(sys.argv[1]).folder / "card.json").is_file()
"""


@pytest.mark.slow
def test_two_processes_that_import_at_once_leave_one_whole_folder(
    checkpoint: Path, cache: Path, tmp_path: Path
) -> None:
    ready, go = [tmp_path / "ready0", tmp_path / "ready1"], tmp_path / "go"
    both = [
        subprocess.Popen([sys.executable, "-c", _IMPORT, str(checkpoint), str(one), str(go)])
        for one in ready
    ]
    deadline = time.monotonic() + 120
    while not all(one.exists() for one in ready) and time.monotonic() < deadline:
        time.sleep(0.05)
    go.touch()
    assert [process.wait(120) for process in both] == [0, 0]
    (folder,) = imports(cache)
    assert load_encoder(folder)(torch.zeros(1, 1, 16, 16, 16)).shape == (1, 512)


@pytest.mark.slow
def test_the_slower_of_two_imports_takes_the_other_ones_folder(
    checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(path: Path, folder: Path) -> None:
        import_checkpoint(path, folder)
        monkeypatch.setattr("neurofm.models.imported.import_checkpoint", import_checkpoint)
        locate(path)

    monkeypatch.setattr("neurofm.models.imported.import_checkpoint", overtaken)
    assert [locate(checkpoint).folder] == imports(cache)


def test_what_is_no_checkpoint_is_refused_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "notes.txt").write_text("no weights")
    torch.save({"model_state_dict": {"a.b": torch.ones(3)}}, tmp_path / "other.pt")
    for name in ("notes.txt", "other.pt"):
        with pytest.raises(WeightsError, match=name):
            locate(tmp_path / name)
    assert imports(cache) == []


def test_an_incomplete_checkpoint_asks_for_import_weights(tmp_path: Path) -> None:
    state = build_encoder(ResNetConfig(), seed=5).state_dict()
    whole = {f"encoder.{name}": tensor for name, tensor in state.items()}
    torch.save({"model_state_dict": whole}, tmp_path / "encoder.pt")
    with pytest.raises(WeightsError, match="neurofm import-weights FILE -o FOLDER --allow-incom"):
        locate(tmp_path / "encoder.pt")


def test_a_part_of_a_bundle_asks_for_its_folder(small_bundle: Path) -> None:
    for name in ("weights.safetensors", "card.json"):
        with pytest.raises(
            WeightsError, match=f"is a part of weights; give its folder: {small_bundle}"
        ):
            locate(small_bundle / name)


def test_a_full_disk_names_the_cache(
    checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case F1."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("neurofm.models.weights.save_file", full)
    with pytest.raises(RunError, match="No space left on device.*NEUROFM_CACHE") as caught:
        locate(checkpoint)
    assert caught.value.where == str(cache)
    assert imports(cache) == []


def test_a_cache_that_is_a_file_is_refused(checkpoint: Path, cache: Path) -> None:
    cache.write_text("a file")
    with pytest.raises(RunError, match="set NEUROFM_CACHE to"):
        locate(checkpoint)


def test_the_cache_is_below_home_where_nothing_else_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NEUROFM_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "neurofm"
