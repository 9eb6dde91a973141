"""A bundle is published whole and in one commit, and nothing is sent that tells of anybody."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from neurofm.config import PreprocessConfig
from neurofm.config.encoders import ResNetConfig
from neurofm.errors import NeurofmError, WeightsError
from neurofm.files import sha256_of, write_json, write_text
from neurofm.inference.golden import GOLDEN_PHANTOM, STEPS, Golden, GoldenStep, write_golden
from neurofm.inference.publication import Publication, prepare_publication
from neurofm.inference.push import push
from neurofm.models.bundle_card import model_card_text
from neurofm.models.card import Card, CohortCount, read_card, write_card
from neurofm.models.checksums import CHECKSUMS_FILE, MODEL_CARD_FILE, PARTS, write_checksums
from neurofm.models.encoder import build_encoder
from neurofm.models.hub import parse_hub_reference
from neurofm.models.hub_page import licence_name
from neurofm.models.overlap import hash_participants
from neurofm.models.references import locate
from neurofm.models.weights import load_encoder, save_weights
from neurofm.versions import software_record

REFERENCE = parse_hub_reference("hf://lab/brain")
_CONFIG = ResNetConfig(widths=(4, 8, 8, 16))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """As `neurofm bundle` makes it, but for the arrays behind the golden scan: there are none."""
    folder = tmp_path / "bundle"
    state = build_encoder(_CONFIG, seed=1).state_dict()
    card = Card(
        encoder=_CONFIG, features=16, spacing_mm=6.0, description="A tiny encoder.",
        terms="CC-BY 4.0", intended_use="Research.",
        cohorts=(CohortCount(cohort="ward", participants=2, scans=3),), participant_salt="salt",
        participant_hashes=tuple(hash_participants(["ward/K77-12", "ward/K77-13"], "salt")),
    )  # fmt: skip
    card = save_weights(folder, {f"encoder.{name}": t for name, t in state.items()}, card)
    steps = [GoldenStep(name=name, shape=(1,), sha256="0", values=(1.5,)) for name in STEPS]
    golden = Golden(
        phantom=GOLDEN_PHANTOM, seed=1, preprocess=PreprocessConfig(), steps=tuple(steps),
        software=software_record(),
    )  # fmt: skip
    write_golden(folder, golden)
    write_text(folder / MODEL_CARD_FILE, model_card_text(card))
    write_checksums(folder)
    return folder


@pytest.fixture
def token(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_writer")


def prepared(bundle: Path) -> Publication:
    return prepare_publication(bundle, REFERENCE)


def refusal(bundle: Path, private: bool = False) -> str:
    with pytest.raises(NeurofmError) as caught:
        push(prepared(bundle), private)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_pushed_is_pulled_byte_for_byte_and_embeds_the_same(
    hub: Any, token: None, bundle: Path
) -> None:
    pushed = push(prepare_publication(bundle, REFERENCE, "The first"))
    repository = hub.repositories["lab/brain"]
    assert repository.messages == ["The first"]
    assert pushed == parse_hub_reference(f"hf://lab/brain@{repository.refs['main']}")
    assert not repository.private
    pulled = locate(str(pushed)).folder
    names = sorted([*PARTS, CHECKSUMS_FILE])
    assert sorted(path.name for path in pulled.iterdir()) == names
    assert all((pulled / name).read_bytes() == (bundle / name).read_bytes() for name in names)
    volumes = torch.randn(1, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(load_encoder("hf://lab/brain")(volumes), load_encoder(bundle)(volumes))


def test_the_page_is_the_model_card_with_a_head_for_the_hub(
    hub: Any, token: None, bundle: Path
) -> None:
    commit = push(prepared(bundle)).revision
    page = hub.repositories["lab/brain"].commits[commit]["README.md"].decode()
    _, head, text = page.split("---\n", 2)
    assert yaml.safe_load(head) == {
        "library_name": "neurofm", "license": "cc-by-4.0",
        "pipeline_tag": "image-feature-extraction",
        "tags": ["neurofm", "mri", "brain", "neuroimaging", "medical", "3d", "resnet18"],
    }  # fmt: skip
    assert "--weights hf://lab/brain " in text
    assert "| these weights | ward | 2 | 3 |" in text


def test_files_that_are_no_parts_are_named_and_stay(hub: Any, token: None, bundle: Path) -> None:
    (bundle / "participants.tsv").write_text("sub-01")
    (bundle / "logs").mkdir()
    (bundle / "logs" / "run.log").write_text("/home/anna")
    publication = prepared(bundle)
    assert publication.left_out == ("logs", "participants.tsv")
    commit = push(publication).revision
    sent = hub.repositories["lab/brain"].commits[commit]
    assert sorted(sent) == sorted([*PARTS, CHECKSUMS_FILE, "README.md"])


def _in_card(folder: Path) -> None:
    write_card(folder, read_card(folder).model_copy(update={"limits": "not for K77-12"}))


def _in_card_text(folder: Path) -> None:
    text = (folder / "card.json").read_text()
    (folder / "card.json").write_text(text.replace("{", '{"limits": "see /data/ward",', 1))


def _in_golden(folder: Path) -> None:
    golden = json.loads((folder / "golden.json").read_text())
    golden["software"]["/home/anna/lib"] = "1"
    write_json(folder / "golden.json", golden)


def _in_template(folder: Path) -> None:
    golden = json.loads((folder / "golden.json").read_text())
    golden["preprocess"]["template"] = "/data/ward/mni.nii.gz"
    write_json(folder / "golden.json", golden)


def _in_model_card(folder: Path) -> None:
    with (folder / "MODEL_CARD.md").open("a") as file:
        file.write("Without sub-12 and K77-13.\n")


def _in_weights(folder: Path) -> None:
    path = folder / "weights.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    save_file(tensors, path, metadata={"by": "DOE^JANE"})
    card = read_card_as_it_is(folder)
    write_card(folder, card.model_copy(update={"weights_sha256": sha256_of(path)}))


def read_card_as_it_is(folder: Path) -> Card:
    return Card.model_validate_json((folder / "card.json").read_text(), strict=True)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (_in_card, "card.json: 'limits' holds a participant's id"),
        (_in_card_text, "says something twice"),
        (_in_golden, "golden.json: 'software' holds a path"),
        (_in_template, "golden.json: 'preprocess.template' holds a path"),
        (_in_model_card, "MODEL_CARD.md: holds a participant's id"),
        (_in_weights, "weights.safetensors: holds a person's name as headers hold it"),
    ],
)
def test_words_that_tell_of_people_or_paths_stop_it_before_the_hub_is_asked(  # noqa: PLR0917
    hub: Any, token: None, bundle: Path, neurofm: Any, change: Any, wanted: str
) -> None:
    change(bundle)
    write_checksums(bundle)
    done = neurofm("push", bundle, "hf://lab/brain", "--yes")
    assert done.returncode == 2
    assert wanted in done.stderr
    assert done.stderr.count("\n") == 1
    assert "K77" not in done.stderr + done.stdout
    assert hub.requests == []


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Without K77-12", "a participant's id"),
        ("sub-07 left out", "a participant's id"),
        ("from /data/ward/run", "a path"),
        ("again for scan7.nii.gz", "the name of a scan"),
        ("DOE^JANE", "a person's name as headers hold it"),
    ],
)
def test_a_message_that_tells_of_people_or_paths_stops_it_before_the_hub_is_asked(  # noqa: PLR0917
    hub: Any, token: None, bundle: Path, neurofm: Any, message: str, kind: str
) -> None:
    done = neurofm("push", bundle, "hf://lab/brain", "--yes", "--message", message)
    assert done.returncode == 2
    assert f"--message: holds {kind}, which must not be published" in done.stderr
    assert message not in done.stderr + done.stdout
    assert hub.requests == []


def test_what_is_no_whole_bundle_is_refused(hub: Any, bundle: Path) -> None:
    with pytest.raises(WeightsError, match="the main branch; leave out @v1"):
        prepare_publication(bundle, parse_hub_reference("hf://lab/brain@v1"))
    with pytest.raises(WeightsError, match=r"is no bundle \(no checksums.json\)"):
        run = bundle.parent / "run"
        save_weights(run, {"encoder.a": torch.ones(3)}, read_card(bundle))
        prepared(run)
    (bundle / "golden.json").write_text("{}")
    with pytest.raises(WeightsError, match="golden.json: is damaged"):
        prepared(bundle)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, "hf://lab/brain: needs a token of the hub, and there is none; hf auth login, or"),
        ("hf_wrong", "hf://lab/brain: the hub does not take your token"),
        ("hf_reader", "hf://lab/brain: your token does not permit this"),
    ],
)
def test_without_the_right_token_nothing_is_made(
    hub: Any, bundle: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, wanted: str
) -> None:
    if given:
        monkeypatch.setenv("HF_TOKEN", given)
    assert refusal(bundle).startswith(wanted)
    assert hub.repositories == {}
    assert given or hub.requests == []


def test_another_ones_repository_cannot_be_written(hub: Any, token: None, bundle: Path) -> None:
    from hub_stand_in import Repository  # type: ignore[import-not-found]

    hub.repositories["other/brain"] = Repository()
    with pytest.raises(WeightsError, match="other/brain: your token does not permit this"):
        push(prepare_publication(bundle, parse_hub_reference("hf://other/brain")))


def test_a_private_repository_is_made_private_and_a_public_one_stays_untouched(
    hub: Any, token: None, bundle: Path
) -> None:
    push(prepared(bundle), private=True)
    assert hub.repositories["lab/brain"].private
    push(prepared(bundle), private=True)
    hub.repositories["lab/brain"].private = False
    assert "is public on the hub already; make it private on its page" in refusal(bundle, True)
    assert len(hub.repositories["lab/brain"].messages) == 2


def test_a_hub_that_fails_is_one_line(
    hub: Any, token: None, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.status = 500
    assert "the hub answers with status 500" in refusal(bundle)
    hub.stop()
    assert "the connection with http://127.0.0.1" in refusal(bundle)


def test_the_command_shows_what_it_publishes_and_where(
    hub: Any, token: None, bundle: Path, neurofm: Any
) -> None:
    (bundle / "notes.txt").write_text("mine")
    done = neurofm("push", bundle, "hf://lab/brain", "--yes", "--private")
    assert done.returncode == 0
    digest = json.loads((bundle / CHECKSUMS_FILE).read_text())["digest"]
    commit = hub.repositories["lab/brain"].refs["main"]
    for told in (
        "weights.safetensors", "README.md", f"SHA-256 over all parts: {digest}", "A tiny encoder.",
        "Licence: CC-BY 4.0", "Limits: not said", "Trained on: ward, 2 participants, 3 scans",
        f"Message: Bundle {digest}", "2 of participants", "Stays here: notes.txt", f"hf://lab/brain@{commit}",
        f"{hub.address}/lab/brain",
    ):  # fmt: skip
        assert told in done.stdout
    assert hub.repositories["lab/brain"].messages == [f"Bundle {digest}"]


def test_nothing_is_sent_before_somebody_agrees(
    hub: Any, token: None, bundle: Path, neurofm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    done = neurofm("push", bundle, "hf://lab/brain")
    assert done.returncode == 2
    assert "nobody is there to agree; add --yes" in done.stderr
    monkeypatch.setattr("sys.stdin", Terminal("\n"))
    done = neurofm("push", bundle, "hf://lab/brain")
    assert done.returncode == 1
    assert "Nothing was sent." in done.stdout
    assert hub.requests == []
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert neurofm("push", bundle, "hf://lab/brain").returncode == 0
    assert "lab/brain" in hub.repositories


@pytest.mark.parametrize(
    ("terms", "name"),
    [
        ("CC-BY 4.0", "cc-by-4.0"), ("Apache 2.0", "apache-2.0"), ("MIT", "mit"),
        ("for members of the ward", "other"),
    ],
)  # fmt: skip
def test_licences_have_the_names_of_the_hub(terms: str, name: str) -> None:
    assert licence_name(terms) == name
