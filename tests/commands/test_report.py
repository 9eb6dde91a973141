"""`neurofm report` on a run, and on what is none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from neurofm.commands.pretrain import pretrain
from neurofm.commands.report import report
from neurofm.config.preparation import StoreConfig
from neurofm.store.packing import pack

_RECIPE = """
name: tiny
store: {spacing_mm: 6}
encoder: {widths: [4, 8, 8, 16]}
objective: {projection_size: 8}
training: {epochs: 2, batch_size: 3}
health: {max_uniformity: -3.999, collapse_grace_steps: 2, collapse_window_steps: 2}
evaluation: {folds: 2}
"""


def test_pretrain_warns_of_a_collapse_and_leaves_the_page_that_report_writes_again(
    fake: SimpleNamespace, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pack(fake.write(tmp_path / "derivatives", 12), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    (tmp_path / "tiny.yaml").write_text(_RECIPE)
    run = tmp_path / "run"
    recipe, store = str(tmp_path / "tiny.yaml"), tmp_path / "store"
    limits = {"timeout_seconds": 60.0, "join_seconds": 25.0}
    assert pretrain(recipe, store=store, output=run, device="cpu", **limits) == 0
    said = [line for line in capfd.readouterr().err.splitlines() if "have collapsed" in line]
    assert len(said) == 1
    assert said[0].startswith("Warning: the features have collapsed (step 3)")
    page = (run / "run.html").read_text()
    alarm = said[0].removeprefix("Warning: the")
    for text in (alarm, "Finished: 2 of 2", "Age: mean absolute error", "Sex: AUC"):
        assert text in page
    assert "fake_p" not in page
    assert "p00" not in page
    assert str(tmp_path) not in page
    (run / "run.html").unlink()
    assert report(run) == 0
    assert (run / "run.html").read_text() == page
    assert capfd.readouterr().out == f"Report: {run / 'run.html'}\n"
    assert report(run, output=tmp_path / "other.html") == 0
    assert (tmp_path / "other.html").read_text() == page


@pytest.mark.parametrize("made", ["nothing", "folder", "file", "log only"])
def test_a_folder_of_something_else_is_one_line_and_status_2(
    neurofm: Any, tmp_path: Path, made: str
) -> None:
    place = tmp_path / "place"
    if made == "file":
        place.write_text("hello")
    elif made != "nothing":
        place.mkdir()
    if made == "log only":
        (place / "log.jsonl").write_text("")
    done = neurofm("report", str(place))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"RunError: {place}: holds n")
    assert "neurofm pretrain -o" in done.stderr
    assert "Traceback" not in done.stderr
