"""Pictures of reconstructions, in a run's page and by themselves: whole, comparable, nameless."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import Recipe, check_recipe
from neurofm.config.show import recipe_as_yaml
from neurofm.errors import StoreError
from neurofm.objectives.reconstruction import MaskedError, ReconstructedScan
from neurofm.reports.page_pictures import pictures_of
from neurofm.reports.reconstruction_picture import draw_reconstructions, error_words
from neurofm.reports.run_page import write_run_page
from neurofm.reports.run_pictures import run_picture
from neurofm.store.packing import pack
from neurofm.store.reader import Store, open_store
from neurofm.training.objective import build_objective
from neurofm.training.run_log import Record, epoch_record

_CPU = torch.device("cpu")
_BLUE = (0x3D, 0x5A, 0x80)


def _recipe(**sections: object) -> Recipe:
    values: dict[str, object] = {
        "name": "tiny",
        "store": {"spacing_mm": 6},
        "encoder": {"kind": "vit", "width": 12, "depth": 1, "heads": 2, "patch_voxels": [5, 8, 8]},
        "objective": {"kind": "mae", "decoder_width": 12, "decoder_depth": 1, "decoder_heads": 2},
        "training": {"epochs": 3, "batch_size": 8},
    }
    return check_recipe(values | sections, where="a test")


def _scan(mean_image: MaskedError | None = None) -> ReconstructedScan:
    stream = np.random.default_rng(0)
    hidden = np.zeros((25, 32, 32), dtype=bool)
    hidden[5:20, 8:24] = True
    original = stream.normal(size=hidden.shape).astype(np.float32)
    made = np.where(hidden, original + np.float32(3), original)
    brain = np.ones_like(hidden)
    guess = MaskedError(1.25, 2.5)
    return ReconstructedScan(
        original, brain, hidden, made, MaskedError(9.0, 9.0), guess, mean_image
    )


def _colours(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3)


@pytest.fixture
def store(fake: SimpleNamespace, tmp_path: Path) -> Store:
    pack(fake.write(tmp_path / "derivatives", 8), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    return open_store(tmp_path / "store")


def _run(folder: Path, recipe: Recipe) -> Path:
    steps = [
        Record(
            kind="step",
            epoch=0,
            step=step,
            loss=0.5,
            parts={"mse": 0.5},
            figures={"mse_all_patches": 0.5, "mse_brain_patches": 0.75, "effective_rank": 4.0},
            gradient_norm=1.0,
            learning_rate=1e-3,
            pairs_per_second=8.0,
            data_wait_share=0.25,
            seconds=30.0,
            skipped_steps=0,
        )
        for step in range(1, 201)
    ]
    folder.mkdir()
    (folder / "recipe.yaml").write_text(recipe_as_yaml(recipe))
    lines = [*steps, epoch_record(steps)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line.as_json()) + "\n" for line in lines))
    return folder


def test_a_picture_has_a_row_a_scan_with_hidden_patches_in_a_colour_of_their_own() -> None:
    one, two = (draw_reconstructions([_scan()] * count, "Title") for count in (1, 2))
    (width, short), (same, tall) = (Image.open(io.BytesIO(each)).size for each in (one, two))
    assert width == same
    assert 120 < tall - short < 200
    blue = [(_colours(each) == _BLUE).all(axis=1).sum() for each in (one, two)]
    assert blue[0] > 1000
    assert blue[1] == pytest.approx(2 * blue[0], rel=0.05)


def test_equal_reconstructions_give_equal_bytes() -> None:
    assert draw_reconstructions([_scan()], "x") == draw_reconstructions([_scan()], "x")


def test_the_caption_compares_with_the_simple_guesses() -> None:
    assert error_words(_scan(MaskedError(4.0, float("nan")))) == (
        "mean squared error of hidden patches, all / with brain: model 9.000 / 9.000 · "
        "mean image 4.000 / nan · nearest visible patch 1.250 / 2.500"
    )
    assert "mean image" not in error_words(_scan())


def test_a_run_always_draws_the_same_three_scans_with_the_same_masks(store: Store) -> None:
    recipe = _recipe()
    pictures = [run_picture(recipe, store, store.index, _CPU) for _ in range(2)]
    state = build_objective(recipe, 6.0).state_dict()
    before = {name: tensor.clone() for name, tensor in state.items()}
    random = torch.random.get_rng_state()
    drawn = [picture(state, 2) for picture in pictures if picture]
    assert len(drawn) == 2
    assert drawn[0] == drawn[1]
    assert pictures[0] is not None
    assert len(pictures[0].rows) == 4  # one scan of each participant
    assert torch.equal(torch.random.get_rng_state(), random)
    assert all(torch.equal(before[name], tensor) for name, tensor in state.items())
    other = build_objective(_recipe(seed=1), 6.0).state_dict()
    assert pictures[0](other, 2) != drawn[0]


def test_only_scans_that_the_run_sees_are_drawn(store: Store) -> None:
    seen = store.index.iloc[2:6]
    picture = run_picture(_recipe(), store, seen, _CPU)
    assert picture is not None
    assert len(picture.rows) == 2
    assert set(picture.rows) <= {2, 3, 4, 5}


def test_a_scan_that_cannot_be_read_ends_no_run_for_its_picture(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = _recipe()
    state = build_objective(recipe, 6.0).state_dict()
    whole = run_picture(recipe, store, store.index, _CPU)
    assert whole is not None
    drawn, read = whole(state, 1), store.image

    def failing(row: int) -> np.ndarray:
        assert whole is not None
        if row == whole.rows[0]:
            raise StoreError("is damaged", "", "a shard")
        return read(row)

    monkeypatch.setattr(store, "image", failing)
    partly = run_picture(recipe, store, store.index, _CPU)
    assert partly is not None
    size = Image.open(io.BytesIO(drawn)).size
    assert Image.open(io.BytesIO(partly(state, 1))).size == size  # three others are drawn


def test_an_objective_that_hides_nothing_has_no_picture(store: Store) -> None:
    assert run_picture(_recipe(objective={"kind": "simclr"}), store, store.index, _CPU) is None


def test_the_page_of_an_mae_shows_its_errors_and_no_contrast(tmp_path: Path) -> None:
    page = write_run_page(_run(tmp_path / "run", _recipe())).read_text()
    titles = re.findall(r"<h3>([^<]*?) <span", page)
    assert titles == [
        "Loss",
        "Error, hidden patches with brain",
        "Error, all hidden patches",
        "Learning rate",
        "Gradient norm",
        "Effective rank",
        "Participants a second",
        "Waiting for data (%)",
        "Skipped steps",
    ]
    for text in ("nothing told apart", "alarm below", "collapse", "pairs"):
        assert text not in page.split("<details>")[0].lower()
    assert "8 participants, one view of each" in page
    assert "at most 7." in page
    assert '<div class="warnings"' not in page
    assert "<img" not in page


def test_normalised_patches_are_compared_with_a_flat_guess(tmp_path: Path) -> None:
    objective = _recipe().objective.model_copy(update={"normalise_patches": True})
    recipe = _recipe().model_copy(update={"objective": objective})
    assert "the patch&#x27;s mean" in write_run_page(_run(tmp_path / "run", recipe)).read_text()


def test_the_page_shows_the_newest_picture_and_holds_earlier_ones(tmp_path: Path) -> None:
    folder = _run(tmp_path / "run", _recipe())
    (folder / "reconstructions").mkdir()
    for epoch in (0, 10, 20):
        png = draw_reconstructions([_scan()], f"After {epoch}")
        (folder / "reconstructions" / f"epoch-{epoch:04d}.png").write_bytes(png)
    (folder / "reconstructions" / "epoch-0030.png").write_bytes(b"cut off")
    (folder / "reconstructions" / "mine.png").write_bytes(png)
    page = write_run_page(folder).read_text()
    headings = re.findall(r"<h3>(After epoch \d+)</h3>|<summary>([AB]\w+ \w+ \w+)", page)
    assert [a or b for a, b in headings] == ["After epoch 20", "After epoch 10", "Before the first"]
    sources = re.findall(r'src="([^"]*)"', page)
    assert len(sources) == 3
    for source in sources:
        kind, data = source.split(",")
        assert kind == "data:image/png;base64"
        small = Image.open(io.BytesIO(base64.b64decode(data)))
        assert not small.info.get("Source")
    assert "img-src data:" in page
    assert "href" not in page
    assert "fake" not in page
    assert str(tmp_path) not in page


def test_of_many_pictures_the_first_the_last_and_some_between_are_on_the_page(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "reconstructions"
    folder.mkdir()
    png = io.BytesIO()
    Image.new("RGB", (4, 4)).save(png, format="PNG")
    for epoch in range(0, 151, 10):
        (folder / f"epoch-{epoch:04d}.png").write_bytes(png.getvalue())
    epochs = [picture.epochs for picture in pictures_of(tmp_path)]
    assert len(epochs) == 8
    assert epochs == sorted(epochs, reverse=True)
    assert (epochs[0], epochs[-1]) == (150, 0)
    assert pictures_of(tmp_path / "nowhere") == ()
