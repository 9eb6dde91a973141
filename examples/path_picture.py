"""Draw the path of one simulated scan and the embeddings of a finished demo.

Run after `make demo`:  .venv/bin/python examples/path_picture.py demo docs/images/path.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from neurofm.augment.views import make_views
from neurofm.cohorts.index import read_index
from neurofm.config import load_recipe
from neurofm.data.loader import ScanLoader
from neurofm.store.reader import open_store
from neurofm.volumes.nifti import read_volume


def main(demo: Path, picture: Path) -> None:
    """Raw scan, preprocessed scan, two views, and the embedding map, side by side."""
    recipe = load_recipe(demo / "run" / "recipe.yaml")
    store = open_store(demo / "store")
    row = 0
    scan = store.index.iloc[row]
    index = read_index(demo / "index.parquet").set_index("scan_id")
    raw = read_volume(Path(index.loc[scan["scan_id"], "path"])).volume.array
    prepared = read_volume(demo / "derivatives" / scan["image_path"]).volume.array
    batch = next(iter(ScanLoader(store).batches([[row]], epoch=0)))
    views = [
        make_views(batch, recipe.views, recipe.seed, view, store.spacing_mm) for view in (0, 1)
    ]
    panels = [
        ("raw scan", np.rot90(raw[:, :, raw.shape[2] // 2])),
        ("in MNI152, normalised", np.rot90(prepared[:, :, prepared.shape[2] // 2])),
        ("view 1", views[0].images[0, 0, store.shape[0] // 2].numpy()[::-1]),
        ("view 2", views[1].images[0, 0, store.shape[0] // 2].numpy()[::-1]),
    ]
    figure = Figure(figsize=(14, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 5, width_ratios=[1, 1, 1, 1, 1.35])
    for axis, (title, image) in zip(axes, panels, strict=False):
        axis.imshow(image, cmap="gray", vmax=np.percentile(image, 99.8))
        axis.set_title(title, fontsize=11)
        axis.axis("off")
    _map(axes[-1], demo / "evaluation" / "embeddings.parquet")
    figure.savefig(picture, dpi=110)


def _map(axis: object, table: Path) -> None:
    frame = pd.read_parquet(table)
    if "model" in frame and frame["model"].nunique() > 1:
        frame = frame[frame["model"] == frame["model"].iloc[0]]
    features = np.stack(frame["embedding"].to_list())
    features = (features - features.mean(0)) / (features.std(0) + 1e-6)
    places = PCA(2).fit_transform(features)
    dots = axis.scatter(places[:, 0], places[:, 1], c=frame["age_years"], cmap="viridis", s=22)
    axis.set_title("embeddings of held-out people", fontsize=11)
    axis.set(xticks=[], yticks=[], xlabel="first component", ylabel="second component")
    axis.figure.colorbar(dots, ax=axis, label="age (years)")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
