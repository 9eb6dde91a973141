"""The figures of a study: performance over the share of the training part, as in the paper."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from neurofm.config.study import TaskOfStudy
from neurofm.reports.drawing import ACCENT, CATEGORIES, FAINT, INK, MUTED, new_figure
from neurofm.reports.study_table import SavedStudy, headline
from neurofm.reports.words import metric_title

_MARKERS = ("s", "^", "D", "v", "P", "X")


def efficiency_figure(saved: SavedStudy, task: TaskOfStudy) -> Figure:
    """The headline metric of each model against the share of the training part it learnt from.

    Source: the paper's Figures 4 (AUC) and 5 (mean absolute error). The band is the interval of
    the study's own model; thin lines are baselines without learning.
    """
    study, rows = saved.record.study, headline(saved.results, task.name)
    figure, axes = new_figure(5.6, 4.0)
    asked = [model.name for model in study.models]
    baselines = [name for name in rows["model"].unique() if name not in asked]
    for place, name in enumerate(baselines):
        of_model = _course(rows, name)
        axes.plot(
            of_model["percent"], of_model["value"], color=MUTED, linewidth=0.9,
            linestyle=(0, (1 + place, 2)), label=name,
        )  # fmt: skip
    for (name, colour), marker in zip(_colours(asked, study.first), _cycled(asked), strict=True):
        of_model, is_ours = _course(rows, name), name == study.first
        axes.plot(
            of_model["percent"], of_model["value"], color=colour, marker=marker, markersize=5,
            linewidth=2.2 if is_ours else 1.4, label=name, zorder=3 if is_ours else 2,
        )  # fmt: skip
        if is_ours:
            axes.fill_between(
                of_model["percent"], of_model["low"], of_model["high"], color=colour, alpha=0.12,
                linewidth=0,
            )  # fmt: skip
    metric, better = str(rows["metric"].iloc[0]), str(rows["better"].iloc[0])
    axes.set_xlabel("share of the training part (%)")
    axes.set_ylabel(f"{metric_title(metric, task.unit)}\n{better} is better")
    axes.set_xticks([100 * fraction for fraction in study.fractions])
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=2, fontsize=7.5, frameon=False, labelcolor=INK)
    figure.set_size_inches(5.6, 3.9 + 0.17 * ((len(asked) + len(baselines) + 1) // 2))
    return figure


def _course(rows: pd.DataFrame, model: str) -> pd.DataFrame:
    of_model = rows[rows["model"] == model].sort_values("fraction")
    return of_model.assign(percent=100 * of_model["fraction"])


def _colours(names: Sequence[str], first: str) -> list[tuple[str, str]]:
    others = [colour for colour in CATEGORIES if colour != CATEGORIES[0]]
    found, place = [], 0
    for name in names:
        if name == first:
            found.append((name, ACCENT))
            continue
        found.append((name, others[place % len(others)]))
        place += 1
    return found


def _cycled(names: Sequence[str]) -> list[str]:
    return ["o" if not place else _MARKERS[place % len(_MARKERS)] for place in range(len(names))]
