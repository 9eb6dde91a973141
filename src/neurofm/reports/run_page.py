"""The page of a run, `run.html`: its curves, what is healthy in each, and how far it is.

Self-contained, from the run's folder alone; nothing on it names a participant, a scan or a path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurofm.config.objectives import SimCLRConfig, SupervisedConfig
from neurofm.config.recipe import Recipe, load_recipe
from neurofm.errors import RunError
from neurofm.files import read_json, write_text
from neurofm.reports.page_pictures import pictures_of
from neurofm.reports.recipe_text import recipe_to_show
from neurofm.reports.run_figures import (
    chance_loss,
    feature_figures,
    latest,
    learning_figures,
    probe_figures,
    speed_figures,
    validation_figures,
)
from neurofm.reports.templates import page_template
from neurofm.reports.training_log import RunCourse, has_log, read_course

RUN_PAGE = "run.html"
_RECENT_STEPS = 200
_NEAR_CHANCE = 0.99


@dataclass(frozen=True)
class Standing:
    """How far a run is, in words.

    Attributes:
        epochs: "12 of 40 epochs".
        steps: steps finished.
        spent: time spent on steps.
        left: time the rest will take; empty where it is unknown or nothing is left.
        is_finished: its weights are saved.
    """

    epochs: str
    steps: int
    spent: str
    left: str
    is_finished: bool


def write_run_page(run: Path, page: Path | None = None) -> Path:
    """Write the page of a run, finished or under way.

    Args:
        run: its folder.
        page: the HTML file; `run.html` in the folder where not given.

    Returns:
        The page.

    Raises:
        RunError: the folder holds no run.
    """
    if not has_log(run) or not (run / "recipe.yaml").is_file():
        raise RunError("holds no run", "give the folder of neurofm pretrain -o or train -o", run)
    recipe, course = load_recipe(run / "recipe.yaml"), read_course(run)
    software = run / "software.json"
    page = page or run / RUN_PAGE
    has_steps = bool(len(course.steps.step))
    text = page_template("run_page.html.j2").render(
        recipe=recipe,
        recipe_text=recipe_to_show(recipe),
        standing=_standing(course, recipe, (run / "card.json").is_file()),
        warnings=_warnings(course, recipe),
        has_steps=has_steps,
        learning=learning_figures(course, recipe) if has_steps else (),
        features=feature_figures(course, recipe) if has_steps else (),
        speed=speed_figures(course, recipe) if has_steps else (),
        validation=validation_figures(course),
        probes=probe_figures(course),
        pictures=pictures_of(run),
        is_contrast=isinstance(recipe.objective, SimCLRConfig),
        kind="Training" if isinstance(recipe.objective, SupervisedConfig) else "Pre-training",
        software=read_json(software) if software.is_file() else {},
    )
    write_text(page, text)
    return page


def _standing(course: RunCourse, recipe: Recipe, is_finished: bool) -> Standing:
    steps, left = len(course.steps.step), ""
    if course.steps_an_epoch and not is_finished:
        remaining = max(0, recipe.training.epochs * course.steps_an_epoch - steps)
        each = float(np.median(course.steps.seconds[-_RECENT_STEPS:]))
        left = _duration(remaining * each) if remaining else ""
    return Standing(
        epochs=f"{course.epochs} of {recipe.training.epochs} epochs",
        steps=steps,
        spent=_duration(float(np.nansum(course.steps.seconds))),
        left=left,
        is_finished=is_finished,
    )


def _warnings(course: RunCourse, recipe: Recipe) -> list[str]:
    found = [text[:1].upper() + text[1:] for text in course.alarms]
    loss, chance = latest(course.steps.loss), chance_loss(recipe)
    is_late = len(course.steps.step) >= recipe.health.collapse_grace_steps
    if is_late and not course.alarms and chance is not None and loss > _NEAR_CHANCE * chance:
        found.append(
            f"The loss, {loss:.3f}, is within 1 % of what telling nothing apart costs "
            f"({chance:.3f}): so far next to nothing was learnt. Is the temperature too high, or "
            "are the views too hard for so few participants?"
        )
    skipped = int(np.nansum(course.steps.skipped_steps))
    if skipped:
        found.append(
            f"{skipped} steps were skipped, as their loss or gradient was not finite or a scan "
            "could not be used; log.jsonl names their scans."
        )
    return found


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return f"{math.ceil(seconds)} s"
    if minutes < 60:
        return f"{minutes:.0f} min"
    hours = minutes / 60
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"
