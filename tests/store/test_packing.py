"""Packing: what comes out, what stays out, and that nothing finished is lost or overwritten."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurofm.cohorts.index import read_index, write_index
from neurofm.commands.app import build_app
from neurofm.config.preparation import StoreConfig
from neurofm.errors import ConfigError, RunError, StoreError
from neurofm.files import only_writer, sha256_of
from neurofm.preprocess.contract import write_contract
from neurofm.store.model_input import to_model_order
from neurofm.store.packing import pack
from neurofm.store.reader import open_store
from neurofm.volumes.nifti import read_mask, read_volume, write_volume
from neurofm.volumes.volume import Volume

CONFIG = StoreConfig(spacing_mm=6.0, scans_per_shard=2)


def all_checksums(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


def change_index(derivatives: Path, column: str, value: object, row: int = 0) -> None:
    frame = read_index(derivatives / "index.parquet")
    frame.loc[row, column] = value
    write_index(frame, derivatives / "index.parquet")


def test_a_store_gives_back_what_was_preprocessed(derivatives, tmp_path, fake):
    result = pack(derivatives, tmp_path / "store", CONFIG)
    store = open_store(tmp_path / "store")
    assert (result.packed, result.reused, result.skipped, result.failures) == (5, 0, (), ())
    assert len(store) == 5
    assert store.shape == (25, 32, 32)
    assert store.spacing_mm == 6.0
    assert store.contract == fake.contract()
    frame = read_index(derivatives / "index.parquet").set_index("scan_id")
    for row, scan_id in enumerate(store.index["scan_id"]):
        image = read_volume(derivatives / frame.loc[scan_id, "image_path"]).volume
        mask = read_mask(derivatives / frame.loc[scan_id, "brain_mask_path"])
        expected, inside = to_model_order(image, mask, 6.0)
        offset, step = store.scale(row)
        assert np.abs(offset + step * store.image(row) - expected).max() <= 0.51 * step
        assert np.array_equal(store.mask(row), inside)


def test_labels_travel_into_the_store_with_their_scans(derivatives, tmp_path):
    frame = read_index(derivatives / "index.parquet")
    shuffled = frame.assign(handedness=list("LRLRL")).sample(frac=1, random_state=1)
    write_index(shuffled.reset_index(drop=True), derivatives / "index.parquet")
    pack(derivatives, tmp_path / "store", CONFIG)
    index = open_store(tmp_path / "store").index
    assert index["scan_id"].tolist() == sorted(frame["scan_id"])
    ages = dict(zip(frame["scan_id"], frame["age_years"], strict=True))
    assert index["age_years"].tolist() == [ages[scan_id] for scan_id in index["scan_id"]]
    assert index["handedness"].tolist() == list("LRLRL")


def test_the_store_does_not_depend_on_threads_or_index_order(derivatives, tmp_path):
    pack(derivatives, tmp_path / "one", CONFIG, workers=1)
    frame = read_index(derivatives / "index.parquet")
    write_index(frame[::-1].reset_index(drop=True), derivatives / "index.parquet")
    pack(derivatives, tmp_path / "three", CONFIG, workers=3)
    assert all_checksums(tmp_path / "one") == all_checksums(tmp_path / "three")


def test_a_failed_verdict_stays_out_unless_named(derivatives, tmp_path):
    change_index(derivatives, "verdict", "fail", row=2)
    result = pack(derivatives, tmp_path / "store", CONFIG)
    assert result.skipped == ("fake_p01_s0",)
    assert "fake_p01_s0" not in set(open_store(tmp_path / "store").index["scan_id"])
    named = CONFIG.model_copy(update={"include_failed": ("fake_p01_s0",)})
    assert pack(derivatives, tmp_path / "named", named).packed == 5
    typo = CONFIG.model_copy(update={"include_failed": ("fake_p01_s",)})
    with pytest.raises(ConfigError, match="did you mean 'fake_p01_s"):
        pack(derivatives, tmp_path / "typo", typo)


def test_a_scan_that_cannot_be_read_is_recorded_and_the_others_packed(derivatives, tmp_path):
    broken = derivatives / "fake" / "scan03_T1w.nii.gz"
    broken.write_bytes(broken.read_bytes()[:300])
    (derivatives / "fake" / "scan01_mask.nii.gz").unlink()
    result = pack(derivatives, tmp_path / "store", CONFIG)
    assert result.packed == 3
    assert sorted(failure.participant for failure in result.failures) == ["fake/p00", "fake/p01"]
    table = pd.read_csv(tmp_path / "store" / "failures.csv")
    assert set(table["step"]) == {"pack"}
    assert open_store(tmp_path / "store").index["scan_id"].tolist() == [
        "fake_p00_s0",
        "fake_p01_s0",
        "fake_p02_s0",
    ]


def test_a_mask_outside_the_models_box_refuses_the_scan(derivatives, tmp_path, fake):
    _, mask = fake.scan(0)
    inside = np.zeros_like(mask.array)
    inside[:, :2, :] = True  # behind the box
    write_volume(derivatives / "fake/scan00_mask.nii.gz", Volume(inside, mask.affine), np.uint8)
    (failure,) = pack(derivatives, tmp_path / "store", CONFIG).failures
    assert failure.kind == "empty-mask"


def test_an_interrupted_pack_goes_on_with_its_finished_shards(derivatives, tmp_path):
    pack(derivatives, tmp_path / "whole", CONFIG)
    shutil.copytree(tmp_path / "whole", tmp_path / "half")
    for lost in ("store.json", "index.parquet", "shards/00001.json", "shards/00002-masks.npy"):
        (tmp_path / "half" / lost).unlink()
    (tmp_path / "half" / "shards" / ".unfinished-x.npy").write_bytes(b"half")
    result = pack(derivatives, tmp_path / "half", CONFIG)
    assert (result.packed, result.reused) == (3, 2)
    assert all_checksums(tmp_path / "half") == all_checksums(tmp_path / "whole")


def test_a_changed_scan_is_packed_again_when_a_pack_goes_on(derivatives, tmp_path, fake):
    pack(derivatives, tmp_path / "store", CONFIG)
    (tmp_path / "store" / "store.json").unlink()
    image, _ = fake.scan(77)
    write_volume(derivatives / "fake/scan00_T1w.nii.gz", image)
    change_index(derivatives, "sha256", "another", row=0)
    assert pack(derivatives, tmp_path / "store", CONFIG).packed == 2


def test_packing_twice_changes_nothing_but_labels(derivatives, tmp_path):
    pack(derivatives, tmp_path / "store", CONFIG)
    before = all_checksums(tmp_path / "store")
    assert pack(derivatives, tmp_path / "store", CONFIG).reused == 5
    assert all_checksums(tmp_path / "store") == before
    change_index(derivatives, "age_years", 99.0)
    pack(derivatives, tmp_path / "store", CONFIG)
    assert open_store(tmp_path / "store").index["age_years"][0] == 99.0


def test_a_finished_store_of_something_else_is_not_overwritten(derivatives, tmp_path, fake):
    store = tmp_path / "store"
    pack(derivatives, store, CONFIG)
    before = all_checksums(store)
    with pytest.raises(StoreError, match="other scans or settings"):
        pack(derivatives, store, CONFIG.model_copy(update={"scans_per_shard": 3}))
    write_contract(derivatives, fake.contract("another template"))
    with pytest.raises(StoreError, match="other scans or settings"):
        pack(derivatives, store, CONFIG)
    assert all_checksums(store) == before


def test_a_folder_that_is_no_store_is_refused(derivatives, tmp_path):
    with pytest.raises(StoreError, match="derivatives folder itself"):
        pack(derivatives, derivatives, CONFIG)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("...")
    with pytest.raises(StoreError, match=r"holds thesis\.tex"):
        pack(derivatives, tmp_path / "home", CONFIG)
    with pytest.raises(StoreError, match=r"no index\.parquet"):
        pack(tmp_path / "home", tmp_path / "store", CONFIG)
    shutil.copytree(derivatives, tmp_path / "copy")
    with pytest.raises(StoreError, match="is not empty and no store"):
        pack(derivatives, tmp_path / "copy", CONFIG)


def test_a_second_writer_is_refused(derivatives, tmp_path):
    with only_writer(tmp_path / "store"), pytest.raises(RunError, match="another neurofm process"):
        pack(derivatives, tmp_path / "store", CONFIG)


def test_a_full_disk_is_one_line_and_packing_goes_on_later(derivatives, tmp_path, monkeypatch):
    calls = []

    def no_space(descriptor: int, offset: int, length: int) -> None:
        calls.append(length)
        if len(calls) > 2:  # the first shard's two files still fit
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", no_space)
        with pytest.raises(StoreError, match="No space left on device"):
            pack(derivatives, tmp_path / "store", CONFIG)
    assert not list((tmp_path / "store").rglob(".unfinished-*"))
    result = pack(derivatives, tmp_path / "store", CONFIG)
    assert (result.packed, result.reused) == (3, 2)


def test_too_small_a_disk_is_told_before_work_starts(derivatives, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StoreError, match="GB free"):
        pack(derivatives, tmp_path / "store", CONFIG)


def test_no_usable_scan_is_an_error(derivatives, tmp_path):
    for path in (derivatives / "fake").glob("*_T1w.nii.gz"):
        path.write_bytes(b"")
    with pytest.raises(StoreError, match="none of the scans"):
        pack(derivatives, tmp_path / "store", CONFIG)


def test_the_command_packs_verifies_and_counts_failures(derivatives, tmp_path):
    app = build_app()
    store = str(tmp_path / "store")
    command = ["pack", str(derivatives), "-o", store, "store.scans_per_shard=2"]
    run = [*command, "--spacing-mm", "6"]
    assert app(run, result_action="return_value") == 0
    assert app(["pack", "--verify", store], result_action="return_value") == 0
    (derivatives / "fake" / "scan01_mask.nii.gz").unlink()
    again = [str(tmp_path / "other") if part == store else part for part in run]
    assert app(again, result_action="return_value") == 1


def test_shards_of_an_unfinished_larger_pack_do_not_stay(derivatives, tmp_path):
    pack(derivatives, tmp_path / "store", CONFIG)
    (tmp_path / "store" / "store.json").unlink()
    pack(derivatives, tmp_path / "store", CONFIG.model_copy(update={"scans_per_shard": 4}))
    assert len(list((tmp_path / "store" / "shards").iterdir())) == 2 * 3
    assert len(open_store(tmp_path / "store")) == 5


@pytest.mark.parametrize("name", ["00001-images.npy", "00001-masks.npy", "00001.json"])
@pytest.mark.parametrize("place", [40, 200, -30])
def test_packing_again_mends_a_damaged_shard(derivatives, tmp_path, name, place):
    pack(derivatives, tmp_path / "store", CONFIG)
    before = all_checksums(tmp_path / "store")
    path = tmp_path / "store" / "shards" / name
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    result = pack(derivatives, tmp_path / "store", CONFIG)
    assert (result.packed, result.reused) == (2, 3)
    assert all_checksums(tmp_path / "store") == before


def test_a_damaged_manifest_is_named_with_its_mend(derivatives, tmp_path):
    pack(derivatives, tmp_path / "store", CONFIG)
    manifest = tmp_path / "store" / "store.json"
    manifest.write_text(manifest.read_text().replace("6.0", "7.0"))
    with pytest.raises(StoreError, match="remove it and pack again"):
        pack(derivatives, tmp_path / "store", CONFIG)
    manifest.unlink()
    assert pack(derivatives, tmp_path / "store", CONFIG).reused == 5
