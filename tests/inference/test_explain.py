"""From a raw scan to maps, picture and record: in place, repeatable, and naming nobody."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from neurofm.cohorts.phantom import simulate_session
from neurofm.cohorts.phantom_people import draw_person
from neurofm.commands.explain import explain
from neurofm.commands.map_options import MapOptions
from neurofm.config import PhantomConfig
from neurofm.config.encoders import EncoderConfig, ViTConfig
from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import Recipe, check_recipe
from neurofm.errors import ConfigError, RunError, TableError, WeightsError
from neurofm.inference.explain import ExplainedScan, explain_sources
from neurofm.inference.explanation import Asked
from neurofm.inference.predict import predict_sources
from neurofm.models.card import Card
from neurofm.models.encoder import build_encoder
from neurofm.models.head import HeadCard, build_head
from neurofm.models.weights import save_weights
from neurofm.preprocess.contract import contract_of
from neurofm.store.packing import pack
from neurofm.volumes.nifti import write_volume
from neurofm.volumes.volume import Volume

SEX = HeadCard(target="sex", kind="binary", classes=("F", "M"))
AGE = HeadCard(target="age_years", kind="regression", mean=50.0, spread=10.0)
PHANTOM = PhantomConfig(participants=1, spacing_mm=4.0, stripped=True)
VIT = ViTConfig(width=12, depth=1, heads=2, patch_voxels=(5, 8, 8))
WHO = "sub-secret_T1w"
QUICK = MapOptions(window_mm=48.0, stride_mm=48.0, steps=2)


def recipe_of() -> Recipe:
    coarse = {
        "spacing_mm": 6, "registration_spacing_mm": 4, "bias_field_spacing_mm": 6,
        "bias_field_shrink": 2,
    }  # fmt: skip
    return check_recipe(
        {"name": "tiny", "preprocess": coarse, "encoder": {"widths": [4, 8, 8, 16]}},
        where="a test",
    )


def write_weights(folder: Path, head: HeadCard | None, config: EncoderConfig | None = None) -> Path:
    recipe = recipe_of()
    encoder, contract = config or recipe.encoder, contract_of(recipe.preprocess)
    state = {
        f"encoder.{name}": tensor
        for name, tensor in build_encoder(encoder, seed=1, spacing_mm=6.0).state_dict().items()
    }
    if head:
        linear = build_head(encoder.features, head.outputs, 1).state_dict()
        state |= {f"head.{name}": tensor for name, tensor in linear.items()}
    card = Card(
        encoder=encoder, features=encoder.features, spacing_mm=6.0, head=head,
        contract=contract.model_dump(mode="json"), contract_fingerprint=contract.fingerprint(),
        recipe=recipe.model_dump(mode="json"),
    )  # fmt: skip
    save_weights(folder, state, card)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw phantom whose first axis runs to the left, with a secret in its header."""
    folder = tmp_path_factory.mktemp("explained")
    raw = simulate_session(PHANTOM, 1, draw_person(PHANTOM, 1, 1), 0).acquisition.image
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = raw.shape[0] - 1
    write_volume(folder / "clean.nii.gz", Volume(raw.array[::-1], raw.affine @ flip), np.int16)
    image = nib.load(folder / "clean.nii.gz")
    image.header["descrip"] = b"John Doe"
    (folder / "raw").mkdir()
    nib.save(image, folder / "raw" / f"{WHO}.nii.gz")
    return folder


def explained(place: Path, weights: Path, asked: Asked) -> ExplainedScan:
    got: list[ExplainedScan] = []
    source = [place / "raw" / f"{WHO}.nii.gz"]
    explain_sources(source, weights, asked, got.append, work=place / "work")
    (scan,) = got
    return scan


def test_one_command_writes_maps_in_both_spaces_a_picture_and_a_record(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, raw = write_weights(tmp_path / "w", SEX), place / "raw" / f"{WHO}.nii.gz"
    output = tmp_path / "out"
    assert explain([raw], weights=weights, output=output, how=QUICK, work=place / "work") == 0
    assert "1 scans explained" in capsys.readouterr().out
    stem = next(output.glob("*.json")).name.removesuffix(".json")
    assert {path.name.removeprefix(stem) for path in output.iterdir()} == {
        "_template_map.nii.gz", "_template_random_map.nii.gz", "_native_map.nii.gz",
        "_native_random_map.nii.gz", ".png", ".json",
    }  # fmt: skip
    template, native, random = (
        nib.load(output / f"{stem}_{name}.nii.gz")
        for name in ("template_map", "native_map", "native_random_map")
    )
    stored = nib.load(raw)
    assert template.shape == (193, 229, 193)
    np.testing.assert_allclose(template.affine[:3, 3], (-96, -132, -78))
    outside = _far_from(stored.get_fdata() > 0)
    for found in (native, random):
        assert found.shape == stored.shape
        np.testing.assert_allclose(found.affine, stored.affine, atol=1e-5)
        assert np.abs(found.get_fdata()).max() > 0
        assert not found.get_fdata()[outside].any()  # the map ends where the brain does
    assert not np.allclose(native.get_fdata(), random.get_fdata())
    record = json.loads((output / f"{stem}.json").read_text())
    table = tmp_path / "p.csv"
    predict_sources([raw], [weights], table, work=place / "work")
    header, row = (line.split(",") for line in table.read_text().splitlines())
    said = dict(zip(header, row, strict=True))
    assert record["prediction"] == record["class_name"] == said["prediction"]
    assert record["probability"] == pytest.approx(
        float(said[f"probability_{record['class_name']}"]), rel=1e-4
    )
    assert record["explained"] == f"log-odds of sex {said['prediction']}"
    assert record["contract"] == said["contract"]
    assert record["weights_sha256"] == said["model"]
    for path in (output / f"{stem}.json", output / f"{stem}.png"):
        data = path.read_bytes()
        assert not any(word in data for word in (b"secret", b"John", b"Doe", b"sub-"))
    with pytest.raises(RunError, match="is not empty"):
        explain([raw], weights=weights, output=output)


@pytest.mark.slow
def test_random_weights_give_another_map_and_a_seed_gives_it_again(
    place: Path, tmp_path: Path
) -> None:
    weights = write_weights(tmp_path / "w", AGE)
    asked = Asked(window_mm=48.0, stride_mm=48.0)
    first, again = explained(place, weights, asked), explained(place, weights, asked)
    other = explained(place, weights, Asked(window_mm=48.0, stride_mm=48.0, seed=7))
    np.testing.assert_array_equal(first.randomised, again.randomised)
    np.testing.assert_array_equal(first.trained, other.trained)
    assert np.abs(first.randomised - other.randomised).max() > 0
    assert first.record.spearman is not None
    assert -1 <= first.record.spearman < 0.999


def test_gradients_account_for_the_number(place: Path, tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "w", None, VIT)
    scan = explained(place, weights, Asked("gradients", steps=24))
    record = scan.record
    assert record.value == pytest.approx(1, rel=1e-5)
    assert record.empty_value is not None
    assert record.unaccounted == pytest.approx(0, abs=0.02 * abs(1 - record.empty_value) + 1e-6)
    assert not scan.trained[~scan.brain].any()
    assert record.prediction is None
    assert "captum" in record.software


def test_grad_cam_of_a_class_is_asked_for_by_name(place: Path, tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "w", SEX)
    names = [explained(place, weights, Asked("grad-cam", name)).record for name in SEX.classes]
    assert [record.class_name for record in names] == ["F", "M"]
    assert names[0].value == pytest.approx(-names[1].value, rel=1e-5)


def test_mistakes_are_told_before_any_work(place: Path, tmp_path: Path) -> None:
    bare = write_weights(tmp_path / "bare", None)
    transformer = write_weights(tmp_path / "vit", AGE, VIT)
    source = [place / "raw" / f"{WHO}.nii.gz"]
    for weights, asked, error, message in (
        (bare, Asked(class_name="F"), WeightsError, "have no head, so no class"),
        (transformer, Asked("grad-cam"), ConfigError, "needs the paper.s ResNet"),
        (bare, Asked(window_mm=20, stride_mm=24), ConfigError, "does not fit windows of 20 mm"),
        (bare, Asked(stride_mm=1), ConfigError, "from one voxel, 6 mm"),
        (bare, Asked("gradients", steps=0), ConfigError, "integrate nothing"),
    ):
        with pytest.raises(error, match=message):
            explain_sources(source, weights, asked, lambda _: None, work=tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_gpu_that_is_not_there_is_told_before_any_work(tmp_path: Path) -> None:
    scan, weights = tmp_path / "none.nii.gz", tmp_path / "none"
    with pytest.raises(ConfigError, match="GPUs; use --device cpu or auto"):
        explain([scan], weights=str(weights), output=tmp_path / "out", device="cuda:99")
    assert not (tmp_path / "out").exists()


def test_packed_or_preprocessed_scans_have_no_raw_one_to_lay_a_map_over(
    derivatives: Path, place: Path, tmp_path: Path
) -> None:
    weights = write_weights(tmp_path / "w", AGE)
    pack(derivatives, tmp_path / "store", StoreConfig(spacing_mm=6.0))
    for folder in (derivatives, tmp_path / "store"):
        for source in (folder, folder / "index.parquet"):
            with pytest.raises(ConfigError, match="packed|preprocessed.*give the raw scan"):
                explain_sources([source], weights, Asked(), lambda _: None)
    scan = place / "raw" / f"{WHO}.nii.gz"
    explained(place, weights, Asked(window_mm=48.0, stride_mm=48.0))
    (image,) = (place / "work").rglob("*_desc-preproc_T1w.nii.gz")
    for sources in ([image], [scan, place / "work"]):
        with pytest.raises(TableError, match=r"preprocessed.*give raw scans"):
            explain_sources(sources, weights, Asked(), lambda _: None)


def test_an_unusable_scan_is_told_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = write_weights(tmp_path / "w", AGE)
    scan = tmp_path / "cut.nii.gz"
    scan.write_bytes(gzip.compress(np.random.default_rng(0).bytes(5000))[:2000])
    assert explain([scan], weights=weights, output=tmp_path / "out") == 1
    printed = capsys.readouterr()
    assert "0 scans explained" in printed.out
    assert "cut.nii.gz" in printed.err
    assert list((tmp_path / "out").iterdir()) == []


def _far_from(inside: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return np.asarray(ndimage.distance_transform_edt(~inside) > 4)  # voxels of 4 mm
