"""The figures of results: intervals of all models, scatter, ROC, confusion, loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from neurofm.data.targets import SITE_TASK
from neurofm.evaluation.baselines import PRETRAINED
from neurofm.evaluation.folds import participant_weights
from neurofm.evaluation.metrics import Outcome
from neurofm.evaluation.record import TaskRecord
from neurofm.evaluation.results import outcomes
from neurofm.reports.drawing import ACCENT, CATEGORIES, FAINT, INK, MUTED, as_svg, new_figure
from neurofm.reports.words import metric_title, task_title, task_unit

_MAX_CONFUSED = 12
_Dashes = str | tuple[int, tuple[int, ...]]
_DASHES: tuple[_Dashes, ...] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
_LINE_OF_LEGEND = 0.18  # inches
_ROC_GRID = np.linspace(0, 1, 201)


def intervals_figure(
    results: pd.DataFrame,
    task: TaskRecord,
    models: Sequence[str] = (PRETRAINED,),
    unit: str = "",
) -> str:
    """The headline metric of every model with its interval, as a row of dots.

    Args:
        results: of all tasks.
        task: which.
        models: the given ones, the one that others are compared with first.
        unit: of a number, where the task's name does not tell.
    """
    of_task = results[results["task"] == task.task]
    metric = str(of_task["metric"].iloc[0])
    rows = of_task[of_task["metric"] == metric].iloc[::-1]
    figure, axes = new_figure(5.2, 1.05 + 0.34 * len(rows))
    for place, (model, value, low, high) in enumerate(
        zip(rows["model"], rows["value"], rows["low"], rows["high"], strict=True)
    ):
        colour = ACCENT if model == models[0] else MUTED
        axes.plot([low, high], [place, place], color=colour, linewidth=1.8)
        axes.plot([value], [place], "o", color=colour, markersize=6)
    axes.set_yticks(range(len(rows)), list(rows["model"]))
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    better = "" if task.task == SITE_TASK else f"\n{rows['better'].iloc[0]} is better"
    axes.set_xlabel(metric_title(metric, task_unit(task.task, unit)) + better)
    what = f"{task_title(task.task)}: {metric} of every model with its 95 % interval"
    return as_svg(figure, f"intervals-{task.task}", what)


def task_figure(
    predictions: pd.DataFrame,
    task: TaskRecord,
    models: Sequence[str] = (PRETRAINED,),
    unit: str = "",
) -> str:
    """Scatter, ROC curves or confusion, as the kind of task asks; empty where none fits.

    ROC curves are of all models, the others of the first of the given ones. `unit` is as in
    `intervals_figure`.
    """
    of_task = predictions[predictions["task"] == task.task]
    ours = of_task[of_task["model"] == models[0]]
    if ours.empty:
        return ""
    if task.kind == "regression":
        return _scatter(ours, task, task_unit(task.task, unit))
    if task.kind == "binary":
        return _roc(of_task, task, models)
    if len(task.classes) <= _MAX_CONFUSED:
        return _confusion(ours, task)
    return ""


def loss_figure(epochs: Sequence[float], losses: Sequence[float]) -> str:
    """The loss of pre-training over its epochs."""
    figure, axes = new_figure(6.4, 2.9)
    axes.plot(epochs, losses, color=ACCENT, linewidth=1.6, marker="o" if len(epochs) < 3 else "")
    axes.grid(axis="y", color=FAINT, linewidth=0.7)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    return as_svg(figure, "loss", "Pre-training loss over epochs")


def _scatter(rows: pd.DataFrame, task: TaskRecord, unit: str) -> str:
    means = rows.groupby("scan_id")[["target", "prediction"]].mean()
    target, predicted = means["target"].to_numpy(), means["prediction"].to_numpy()
    figure, axes = new_figure(3.6, 3.5)
    ends = [min(target.min(), predicted.min()), max(target.max(), predicted.max())]
    axes.plot(ends, ends, color=MUTED, linewidth=1)
    # Many points are many kilobytes of SVG: beyond a few thousand a picture serves better.
    axes.plot(
        target, predicted, "o", color=ACCENT, markersize=4, alpha=0.65, markeredgewidth=0,
        rasterized=len(target) > 3000,
    )  # fmt: skip
    axes.set_xlabel(f"true ({unit})" if unit else "true")
    axes.set_ylabel(f"predicted ({unit})" if unit else "predicted")
    axes.set_aspect("equal", "datalim")
    return as_svg(figure, f"scatter-{task.task}", f"{task_title(task.task)}: predicted over true")


def _roc(rows: pd.DataFrame, task: TaskRecord, models: Sequence[str]) -> str:
    count = rows["model"].nunique()
    figure, axes = new_figure(3.6, 3.6 + _LINE_OF_LEGEND * count)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    for model, (colour, dashes) in _styles(rows, models).items():
        of_model = rows[rows["model"] == model]
        curve = _mean_roc(outcomes(of_model), _people(of_model))
        axes.plot(_ROC_GRID, curve, linestyle=dashes, color=colour, linewidth=1.8, label=model)
    axes.set_xlabel("1 \N{MINUS SIGN} specificity")
    axes.set_ylabel("sensitivity")
    axes.set_aspect("equal")
    _legend_below(axes)
    what = f"{task_title(task.task)}: ROC curves, {task.classes[-1]} is positive"
    return as_svg(figure, f"roc-{task.task}", what)


def calibration_figure(
    curves: pd.DataFrame, task: TaskRecord, models: Sequence[str] = (PRETRAINED,)
) -> str:
    """Observed over predicted shares of the given models, with the interval of the first.

    Of more than two classes it is the first model's curve of each class; of more than can be told
    apart, nothing.

    Args:
        curves: of all tasks, see `evaluation.calibration.calibration_curve`.
        task: which; empty where it has no curve.
        models: the given ones, the first in the accent colour.
    """
    of_task = curves[curves["task"] == task.task] if len(curves) else curves
    is_binary = task.kind == "binary"
    wanted = models if is_binary else models[:1]
    shown = of_task[of_task["model"].isin(wanted)] if len(of_task) else of_task
    if shown.empty or not (is_binary or len(task.classes) <= len(CATEGORIES)):
        return ""
    lines, column = (models, "model") if is_binary else (task.classes, "label")
    figure, axes = new_figure(3.6, 3.6 + _LINE_OF_LEGEND * shown[column].nunique())
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    for line, (colour, dashes) in _styles(shown, lines, column).items():
        rows = shown[shown[column] == line]
        x, y = rows["predicted"].to_numpy(), rows["observed"].to_numpy()
        if is_binary and line == models[0]:
            axes.fill_between(x, rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)
        axes.plot(
            x, y, marker="o", linestyle=dashes, color=colour, linewidth=1.6, markersize=4,
            label=line,
        )  # fmt: skip
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    share = f"share of {task.classes[-1] if is_binary else 'the class'}"
    axes.set_xlabel("predicted probability")
    axes.set_ylabel(f"observed {share}")
    _legend_below(axes)
    what = f"{task_title(task.task)}: observed over predicted {share}"
    return as_svg(figure, f"calibration-{task.task}", what)


def _styles(
    rows: pd.DataFrame, models: Sequence[str], column: str = "model"
) -> dict[str, tuple[str, _Dashes]]:
    """Colour and dashes of every model there is; given ones in colour and drawn last."""
    names = [str(name) for name in rows[column].unique()]
    others = [name for name in names if name not in models]
    styles = {name: (MUTED, _DASHES[place % len(_DASHES)]) for place, name in enumerate(others)}
    for place, name in reversed(list(enumerate(models))):
        if name in names:
            styles[name] = (ACCENT if not place else CATEGORIES[place % len(CATEGORIES)], "-")
    return styles


def _legend_below(axes: Axes) -> None:
    """Below the label of the x axis, which a legend of the figure would touch."""
    axes.set_anchor("N")
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.16), borderaxespad=0, fontsize=7.5,
        frameon=False, labelcolor=INK, reverse=True,
    )  # fmt: skip


def _mean_roc(repeats: list[Outcome], people: np.ndarray) -> np.ndarray:
    """The mean of the curves of all folds and repeats, weighted by their pairs: as the AUC is."""
    from sklearn.metrics import roc_curve

    weights = participant_weights(people)
    total, curve = 0.0, np.zeros_like(_ROC_GRID)
    for outcome in repeats:
        for fold in np.unique(outcome.folds):
            inside = outcome.folds == fold
            truth, score = outcome.target[inside] == 1, outcome.probabilities[inside, 1]
            weight = weights[inside]
            pairs = float(weight[truth].sum() * weight[~truth].sum())
            if pairs:
                false, true, _ = roc_curve(truth, score, sample_weight=weight)
                curve += pairs * np.interp(_ROC_GRID, false, true)
                total += pairs
    return curve / total


def _confusion(rows: pd.DataFrame, task: TaskRecord) -> str:
    size = len(task.classes)
    counts = np.zeros((size, size))
    for outcome in outcomes(rows):
        np.add.at(counts, (outcome.target.astype(int), outcome.prediction.astype(int)), 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    side = 2.2 + 0.42 * size
    figure, axes = new_figure(side + 0.6, side)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for true in range(size):
        for said in range(size):
            share = shares[true, said]
            colour = "white" if share > 0.55 else INK
            axes.text(
                said, true, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=8
            )
    axes.set_xticks(range(size), task.classes, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(size), task.classes)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for spine in axes.spines.values():
        spine.set_visible(False)
    what = f"{task_title(task.task)}: shares of each true class by predicted class"
    return as_svg(figure, f"confusion-{task.task}", what)


def _people(of_model: pd.DataFrame) -> np.ndarray:
    one = of_model[of_model["seed"] == of_model["seed"].min()].sort_values("scan_id")
    return np.unique(one["participant"].to_numpy(dtype=str), return_inverse=True)[1]
