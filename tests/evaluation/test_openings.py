"""How often test people were scored is counted beside their store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neurofm.evaluation.openings import OPENINGS, count_opening
from neurofm.evaluation.protocol import evaluate
from neurofm.reports.page import write_report


def test_each_evaluation_of_the_same_people_counts_and_others_do_not(kit: Any) -> None:
    one = {"sex": ["a", "b"], "age_years": ["a"]}
    assert count_opening(kit.store, one, "f") == {"sex": 1, "age_years": 1}
    assert count_opening(kit.store, {"sex": ["b", "a"]}, "g") == {"sex": 2}
    assert count_opening(kit.store, {"sex": ["a"]}, "f") == {"sex": 1}
    text = (kit.store.folder / OPENINGS).read_text()
    assert len(text.splitlines()) == 3
    assert '"a"' not in text


def test_a_line_that_was_cut_off_counts_for_nothing(kit: Any) -> None:
    count_opening(kit.store, {"sex": ["a"]}, "f")
    path = kit.store.folder / OPENINGS
    path.write_text(path.read_text() + '{"scored": {"se\n[]\n')
    assert count_opening(kit.store, {"sex": ["a"]}, "f") == {"sex": 2}


def test_results_say_how_often_and_a_finished_evaluation_is_not_scored_again(
    kit: Any, tmp_path: Path
) -> None:
    recipe, run = kit.recipe(evaluation={"parts": "task", "targets": ["sex"]}), kit.simclr("pre")
    for number in (1, 2):
        record = evaluate(recipe, kit.store, run, tmp_path / f"e{number}")
        assert record.tasks[0].scored == number
    assert evaluate(recipe, kit.store, run, tmp_path / "e1").tasks[0].scored == 1
    page = write_report(tmp_path / "e2", None, tmp_path / "page.html").read_text()
    assert "scored 2 times so far" in page


def test_a_store_that_cannot_be_written_to_is_warned_of(kit: Any, tmp_path: Path) -> None:
    (kit.store.folder / OPENINGS).mkdir()
    recipe = kit.recipe(evaluation={"parts": "task", "targets": ["sex"]})
    record = evaluate(recipe, kit.store, kit.simclr("pre"), tmp_path / "e")
    assert record.tasks[0].scored is None
    assert any("not counted" in warning for warning in record.warnings)
