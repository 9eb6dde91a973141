"""The embedding map: the first two principal components, coloured by what might explain them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from neurofm.data.targets import site_labels
from neurofm.reports.drawing import CATEGORIES, FAINT, INK, MUTED, as_svg, new_figure
from neurofm.reports.words import task_title

_USUAL = ("cohort", "site", "age_years", "sex")
_MAX_LEGEND = 8
_MANY_POINTS = 3000


@dataclass(frozen=True)
class Panel:
    """One colouring of the map."""

    title: str
    svg: str


def embedding_map(
    labels: pd.DataFrame,
    embeddings: npt.NDArray[np.float64],
    targets: Sequence[str] = (),
    name: str = "map",
) -> tuple[Panel, ...]:
    """Panels of the same map coloured by cohort, site, age, sex and what else was predicted.

    Args:
        labels: a row a scan; what is not known is left out.
        embeddings: "scans features", rows as in `labels`.
        targets: further columns.
        name: unlike that of another map on the page.
    """
    places, shares = principal_components(embeddings)
    axes = f"component 1 ({shares[0]:.0%})", f"component 2 ({shares[1]:.0%})"
    return panels_of(labels, places, targets, name=name, axes=axes)


def panels_of(
    labels: pd.DataFrame,
    places: npt.NDArray[np.float64],
    targets: Sequence[str],
    *,
    name: str,
    axes: tuple[str, str],
) -> tuple[Panel, ...]:
    """The same places (scans, 2), once for each colouring; see `embedding_map`.

    Args:
        labels: a row a scan.
        places: where it is drawn.
        targets: further columns.
        name: unlike that of another map on the page.
        axes: what the two axes are called.
    """
    sites = site_labels(labels)
    columns = {"Cohort": labels["cohort"].astype(str)}
    if sites.nunique() > 1 and not sites.equals(columns["Cohort"]):
        columns["Site"] = sites
    if "age_years" in labels and labels["age_years"].notna().any():
        columns["Age (years)"] = labels["age_years"]
    if "sex" in labels and labels["sex"].notna().any():
        columns["Sex"] = labels["sex"]
    for target in targets:
        if target in labels and target not in _USUAL and labels[target].notna().any():
            columns[task_title(target)] = labels[target]
    return tuple(
        Panel(title, _panel(f"{name}-{title}", title, values.reset_index(drop=True), places, axes))
        for title, values in columns.items()
    )


def principal_components(
    embeddings: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], tuple[float, float]]:
    """Places (scans, 2) on the first two components of the standardised features, and shares.

    The sign of a component is fixed by its largest loading, so the map does not flip by chance.
    """
    left, scale, right = np.linalg.svd(standardised(embeddings), full_matrices=False)
    left, scale, right = left[:, :2], scale[:2] ** 2 / np.sum(scale**2), right[:2]
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
    places = np.zeros((len(embeddings), 2))
    places[:, : left.shape[1]] = left * signs * np.sqrt(len(embeddings))
    return places, (float(scale[0]), float(scale[1]) if len(scale) > 1 else 0.0)


def standardised(embeddings: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Features of mean 0 and variance 1; one that never varies is left out."""
    varying = embeddings[:, embeddings.std(axis=0) > 1e-10]
    return np.asarray((varying - varying.mean(axis=0)) / varying.std(axis=0))


def _panel(
    name: str,
    title: str,
    values: pd.Series,
    places: npt.NDArray[np.float64],
    labels: tuple[str, str],
) -> str:
    figure, axes = new_figure(3.9, 3.3)
    if pd.api.types.is_numeric_dtype(values):
        known = values.notna().to_numpy()
        _points(axes, places[~known], FAINT, "unknown")
        drawn = axes.scatter(
            places[known, 0], places[known, 1], c=values[known], cmap="viridis",
            s=16, alpha=0.85, linewidths=0,
            rasterized=len(values) > _MANY_POINTS,
        )  # fmt: skip
        bar = figure.colorbar(drawn, ax=axes, pad=0.02, aspect=28)
        bar.outline.set_visible(False)
        bar.ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=8)
    else:
        _categories(axes, values, places)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    return as_svg(figure, name, f"Embedding map coloured by {title.lower()}")


def _categories(axes: Axes, values: pd.Series, places: npt.NDArray[np.float64]) -> None:
    text = values.where(values.notna(), "unknown").astype(str)
    names = text.value_counts().index.tolist()
    for order, name in enumerate(sorted(names)):
        colour = FAINT if name == "unknown" else CATEGORIES[order % len(CATEGORIES)]
        _points(axes, places[(text == name).to_numpy()], colour, name)
    if len(names) <= _MAX_LEGEND:
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2 if len(names) > 3 else 3,
            fontsize=8, frameon=False, handletextpad=0.1, columnspacing=1.0, labelcolor=INK,
        )  # fmt: skip


def _points(axes: Axes, places: npt.NDArray[np.float64], colour: str, label: str) -> None:
    if len(places):
        axes.scatter(
            places[:, 0], places[:, 1], color=colour, s=16, alpha=0.85, linewidths=0, label=label,
            rasterized=len(places) > _MANY_POINTS,
        )  # fmt: skip
