"""The page of a run: whole, for sharing, and right about the log it is made from."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from neurofm.config.recipe import Recipe, check_recipe
from neurofm.config.show import recipe_as_yaml
from neurofm.errors import RunError
from neurofm.reports.run_page import write_run_page
from neurofm.reports.training_log import read_course
from neurofm.training.health import Alarm
from neurofm.training.onlookers import ProbeLine, ProbeScore
from neurofm.training.run_log import Line, Record, epoch_record

_ALARM = Alarm(1, 7, "uniformity", -0.03, -0.2)
_SCORE = ProbeScore("age_years", "MAE", "lower", 9.5, 8.25, 11.0, 14.5, 120)
_SITE = ProbeScore("site", "balanced accuracy", "higher", 0.75, 0.6, 0.9, 0.25, 130)
_AGE = "Age: mean absolute error (years)"


def _recipe(**sections: object) -> Recipe:
    values: dict[str, object] = {
        "name": "tiny & <b>bold</b>",
        "preprocess": {"template": "/home/jane.doe/hospital/template.nii.gz"},
        "store": {"include_failed": ["SECRETSCAN01", "SECRETSCAN02"]},
        "training": {"epochs": 3, "batch_size": 8},
    }
    return check_recipe(values | sections, where="a test")


def _step(step: int, epoch: int = 0, loss: float = 1.5, skipped: int = 0) -> Record:
    return Record(
        kind="step",
        epoch=epoch,
        step=step,
        loss=loss,
        parts={"nt_xent": loss},
        figures={"alignment": 0.5, "uniformity": -2.0, "effective_rank": 9.0},
        gradient_norm=1.0 if not skipped else float("nan"),
        learning_rate=1e-3,
        pairs_per_second=8.0,
        data_wait_share=0.25,
        seconds=30.0,
        skipped_steps=skipped,
        skipped_scans=("SECRETSCAN03",) * skipped,
    )


def _run(folder: Path, lines: list[Line], recipe: Recipe | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(recipe_as_yaml(recipe or _recipe()))
    (folder / "software.json").write_text('{"torch": "2.13.0", "device": "cpu"}')
    (folder / "log.jsonl").write_text("".join(json.dumps(line.as_json()) + "\n" for line in lines))
    return folder


def _two_epochs() -> list[Line]:
    """Probes of the untrained encoder and after an epoch, an alarm in the second epoch."""
    first = [_step(step) for step in range(1, 6)]
    second = [_step(step, epoch=1) for step in range(6, 11)]
    untrained = replace(_SCORE, value=13.0, low=11.0, high=15.0)
    return [
        ProbeLine(0, 0, untrained, 2.0),
        ProbeLine(0, 0, _SITE, 2.0),
        *first,
        epoch_record(first),
        ProbeLine(1, 5, _SCORE, 2.0),
        ProbeLine(1, 5, _SITE, 2.0),
        *second[:2],
        _ALARM,
        *second[2:],
        epoch_record(second),
    ]


class _Tags(HTMLParser):
    """Collects attributes, and holds every opened tag to be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _page(folder: Path) -> str:
    return write_run_page(folder).read_text()


def _latest(page: str, title: str) -> str:
    found = re.search(rf'<h3>{re.escape(title)} <span class="latest">([^<]*)</span>', page)
    assert found is not None
    return found[1]


def _drawings(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for svg in re.findall(r"(<svg.*</svg>)<figcaption>", page)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _run(tmp_path_factory.mktemp("jane.doe") / "run", _two_epochs())


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return _page(run)


def test_the_page_is_whole_and_loads_nothing_and_runs_nothing(page: str) -> None:
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    names = [name for name, _ in tags.attributes]
    assert not {"src", "href", "xlink:href", "srcset", "action"} & set(names)
    assert not any(name.startswith("on") for name in names)
    assert not {"script", "link", "iframe", "object", "base", "a"} & tags.names
    assert not re.search(r"https?:|@import|url\(", page)


def test_the_page_names_no_path_no_participant_and_no_scan(run: Path, tmp_path: Path) -> None:
    """Neither in the recipe nor in the steps that were skipped."""
    skipped: list[Line] = [*_two_epochs(), _step(11, epoch=2, loss=float("nan"), skipped=1)]
    for text in (_page(run), _page(_run(tmp_path / "skipped", skipped))):
        assert "SECRET" not in text
        assert "/home" not in text
        assert "jane" not in text
        assert "/tmp" not in text
        assert str(tmp_path) not in text
        assert "2 scans, not named here" in text


def test_names_are_text_and_not_markup(page: str) -> None:
    assert "<b>bold" not in page
    assert "tiny &amp; &lt;b&gt;bold" in page


def test_the_alarm_stands_at_the_head_of_the_page(page: str) -> None:
    said = _ALARM.text[:1].upper() + _ALARM.text[1:]
    assert 0 < page.index("<h1>") < page.index(said) < page.index("<svg")
    assert page.count("have collapsed") == 1
    assert page.index('<div class="warnings"') < page.index(said)


def test_a_healthy_run_has_no_warning(tmp_path: Path) -> None:
    lines = [line for line in _two_epochs() if line is not _ALARM]
    assert '<div class="warnings"' not in _page(_run(tmp_path / "run", lines))


def test_every_drawing_is_sound_and_says_what_it_shows(page: str) -> None:
    drawings = _drawings(page)
    titles = [drawing.get("aria-label", "").split(":")[0] for drawing in drawings]
    assert titles == [
        "Loss",
        "Learning rate",
        "Gradient norm",
        "Alignment",
        "Uniformity",
        "Effective rank",
        "Age",
        "Site predictability",
        "Pairs a second",
        "Waiting for data (%)",
        "Skipped steps",
    ]
    for drawing in drawings:
        for element in drawing.iter():
            numbers = re.findall(
                r"-?[\d.]+|nan|inf", element.get("points", "") + element.get("d", "")
            )
            assert np.isfinite([float(each) for each in numbers]).all()


def test_a_logged_number_stands_where_it_belongs(page: str) -> None:
    assert _latest(page, "Loss") == "1.5"
    assert _latest(page, "Uniformity") == "\N{MINUS SIGN}2"
    assert _latest(page, "Waiting for data (%)") == "25"
    assert _latest(page, _AGE) == "9.50 (chance 14.50), 120 participants"
    assert _latest(page, "Site predictability: balanced accuracy") == (
        "0.750 (chance 0.250), 130 participants"
    )
    assert "Loss: 1.5 at epoch 0.2, 1.5 at epoch 2;" in page
    assert f"nothing told apart {np.log(15):.3g}" in page
    assert "mean absolute error (years): 13 at epoch 0, 9.5 at epoch 1;" in page
    assert "torch 2.13.0" in page


def test_the_latest_value_is_the_mean_of_the_last_twenty_steps_that_have_one(
    tmp_path: Path,
) -> None:
    losses = list(np.linspace(9, 1, 60))
    steps: list[Line] = [_step(step, loss=loss) for step, loss in enumerate(losses, start=1)]
    steps += [_step(step, loss=float("nan"), skipped=1) for step in range(61, 71)]
    page = _page(_run(tmp_path / "run", steps))
    assert _latest(page, "Loss") == f"{np.mean(losses[-20:]):.3g}"
    assert _latest(page, "Skipped steps") == "10"


def test_the_limits_of_the_alarm_are_those_of_the_recipe(tmp_path: Path) -> None:
    recipe = _recipe(health={"max_uniformity": -0.375, "min_effective_rank": 3.5})
    page = _page(_run(tmp_path / "run", _two_epochs(), recipe))
    assert "alarm above \N{MINUS SIGN}0.375" in page
    assert "alarm below 3.5" in page
    assert page.count('class="limit"') == 2


def test_a_run_under_way_says_how_far_it_is_and_how_long_the_rest_takes(page: str) -> None:
    """10 steps of 30 s are done and 5 are left."""
    text = " ".join(page.split())
    assert "2 of 3 epochs, 10 steps in 5 min; about 2 min left at this speed." in text
    assert "Finished" not in text


def test_a_finished_run_says_so(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run", _two_epochs())
    (folder / "card.json").write_text("{}")
    text = " ".join(_page(folder).split())
    assert "Finished: 2 of 3 epochs, 10 steps in 5 min." in text


@pytest.mark.parametrize("log", ["", "\n", '{"kind": "st', "null\n[1]\n"])
def test_a_log_without_a_step_gives_a_page_that_says_so(tmp_path: Path, log: str) -> None:
    folder = _run(tmp_path / "run", [])
    (folder / "log.jsonl").write_text(log)
    page = _page(folder)
    assert "No step is finished yet." in page
    assert "0 of 3 epochs, 0 steps in 0 s" in page
    assert "<svg" not in page


def test_the_untrained_probe_is_shown_before_the_first_step(tmp_path: Path) -> None:
    page = _page(_run(tmp_path / "run", [ProbeLine(0, 0, _SCORE, 2.0)]))
    assert "No step is finished yet." in page
    assert _latest(page, _AGE) == "9.50 (chance 14.50), 120 participants"


def test_a_half_written_last_line_counts_for_nothing(run: Path, page: str, tmp_path: Path) -> None:
    folder = _run(tmp_path / "run", _two_epochs())
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps(_step(11, epoch=2).as_json())[:40])
    assert _page(folder) == page
    assert _page(run) == page


def test_a_log_of_nothing_but_skipped_steps_gives_a_page(tmp_path: Path) -> None:
    """Case P10: every loss is null."""
    lines: list[Line] = [_step(step, loss=float("nan"), skipped=1) for step in range(1, 4)]
    page = _page(_run(tmp_path / "run", lines))
    assert _latest(page, "Loss") == "no value"
    assert _latest(page, "Gradient norm") == "no value"
    assert "3 steps were skipped" in page
    assert not re.search(r"\bnan\b", page.split("<details>")[0], flags=re.IGNORECASE)


def test_a_probe_without_a_band_or_a_value_gives_a_page(tmp_path: Path) -> None:
    nan = float("nan")
    lines: list[Line] = [
        ProbeLine(0, 0, replace(_SCORE, low=nan, high=nan), 2.0),
        ProbeLine(0, 0, replace(_SITE, value=nan), 2.0),
    ]
    page = _page(_run(tmp_path / "run", lines))
    assert _latest(page, _AGE).startswith("9.50")
    assert _latest(page, "Site predictability: balanced accuracy").startswith("n/a")


def test_a_run_that_learns_nothing_after_its_grace_is_told(tmp_path: Path) -> None:
    """log(2 x 8 - 1) is 2.708."""
    recipe = _recipe(health={"collapse_grace_steps": 30})
    for count, loss, is_told in ((29, 2.7, False), (30, 2.7, True), (30, 2.6, False)):
        lines: list[Line] = [_step(step, loss=loss) for step in range(1, count + 1)]
        page = _page(_run(tmp_path / f"{count}-{loss}", lines, recipe))
        assert ("telling nothing apart" in page) is is_told


def test_the_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    course = read_course(_run(tmp_path / "run", _two_epochs()))
    assert (course.epochs, course.steps_an_epoch) == (2, 5)
    assert course.alarms == (_ALARM.text,)
    assert course.steps.step.tolist() == list(range(1, 11))
    age, site = course.probes
    assert (age.task, age.value.tolist(), age.low.tolist()) == (
        "age_years",
        [13.0, 9.5],
        [11.0, 8.25],
    )
    assert (site.task, site.chance.tolist(), site.step.tolist()) == ("site", [0.25, 0.25], [0, 5])


def test_the_same_log_gives_the_same_page_wherever_it_is_written(
    run: Path, page: str, tmp_path: Path
) -> None:
    other = write_run_page(run, tmp_path / "elsewhere" / "page.html")
    assert other == tmp_path / "elsewhere" / "page.html"
    assert other.read_text() == page


@pytest.mark.parametrize("missing", ["log.jsonl", "recipe.yaml"])
def test_a_folder_without_a_log_or_a_recipe_is_refused(tmp_path: Path, missing: str) -> None:
    folder = _run(tmp_path / "run", _two_epochs())
    (folder / missing).unlink()
    with pytest.raises(RunError, match="holds no run"):
        write_run_page(folder)
    assert not (folder / "run.html").exists()


def test_a_supervised_run_shows_its_validation_and_no_features(tmp_path: Path) -> None:
    values = {"name": "x", "objective": {"kind": "supervised", "target": "sex"}}
    (tmp_path / "recipe.yaml").write_text(recipe_as_yaml(check_recipe(values, "a test")))
    step = {
        "kind": "step", "epoch": 0, "step": 1, "loss": 0.7, "parts": {"cross_entropy": 0.7},
        "gradient_norm": 1.0, "learning_rate": 1e-4, "pairs_per_second": 3.0,
        "data_wait_share": 0.1, "seconds": 2.0, "skipped_steps": 0,
    }  # fmt: skip
    judged = {
        "kind": "validation", "epochs_done": 1, "step": 1, "metric": "AUC", "better": "higher",
        "value": 0.8125, "loss": 0.6, "is_best": True,
    }  # fmt: skip
    lines = [step, step | {"kind": "epoch"}, judged]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = write_run_page(tmp_path).read_text()
    assert "Training: x" in text
    assert "Validation: AUC" in text
    assert "best 0.812 after epoch 1" in text
    assert "Effective rank" not in text
    assert "Alignment" not in text
