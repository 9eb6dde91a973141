"""Weights pulled from a stand-in for the hub: whole and the same, or refused in one line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch

from neurofm.errors import MissingDependencyError, NeurofmError, RunError, WeightsError
from neurofm.models.checksums import CHECKSUMS_FILE, PARTS
from neurofm.models.hub import parse_hub_reference
from neurofm.models.pulling import pull
from neurofm.models.references import locate
from neurofm.models.weights import load_encoder
from neurofm.progress import SilentProgress

REFERENCE = "hf://lab/brain"
_FILES = (*PARTS, CHECKSUMS_FILE)


@pytest.fixture
def contents(small_bundle: Path) -> dict[str, bytes]:
    return {name: (small_bundle / name).read_bytes() for name in _FILES}


@pytest.fixture
def commit(hub: Any, contents: dict[str, bytes]) -> str:
    """The bundle, and files that are none of its parts, in a public repository."""
    from hub_stand_in import Repository  # type: ignore[import-not-found]

    hub.repositories["lab/brain"] = Repository()
    others = {"README.md": b"---\n", "train.py": b"print('no')", "weights/more.bin": b"0"}
    return str(hub.repositories["lab/brain"].commit(contents | others))


def flip(data: bytes) -> bytes:
    changed = bytearray(data)
    changed[-2] ^= 1
    return bytes(changed)


def refusal(reference: str, kind: type[NeurofmError] = WeightsError) -> str:
    with pytest.raises(kind) as caught:
        locate(reference)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


class Counted(SilentProgress):
    def __init__(self) -> None:
        self.total = self.done = 0

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        assert (what, unit) == ("Pulling", "MB")
        self.total, self.done = total, done

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count


def test_a_pulled_bundle_has_the_same_bytes_and_gives_the_same_features(
    commit: str, contents: dict[str, bytes], small_bundle: Path
) -> None:
    found = locate(REFERENCE)
    assert {path.name: path.read_bytes() for path in found.folder.iterdir()} == contents
    assert found.notes == (f"{REFERENCE} at {commit}",)
    assert found.name == "brain"
    volumes = torch.randn(1, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(load_encoder(REFERENCE)(volumes), load_encoder(small_bundle)(volumes))


def test_the_course_of_a_pull_is_told_in_megabytes(hub: Any, commit: str) -> None:
    files = {"weights.safetensors": b"w" * 5_200_000, "card.json": b"{}"}
    hub.repositories["lab/brain"].commit(files)
    seen = Counted()
    with pytest.raises(WeightsError, match=r"weights.safetensors is damaged|card.json is damaged"):
        locate(REFERENCE, seen)
    assert seen.total == seen.done == 5


def test_a_revision_is_a_tag_a_branch_or_a_commit(
    hub: Any, commit: str, contents: dict[str, bytes]
) -> None:
    repository = hub.repositories["lab/brain"]
    repository.refs["v1.0"] = repository.refs["refs/pr/1"] = commit
    later = repository.commit({"card.json": b"{}"})
    for revision in ("v1.0", "refs/pr/1", commit):
        folder = locate(f"{REFERENCE}@{revision}").folder
        assert folder.name == commit
        assert (folder / "card.json").read_bytes() == contents["card.json"]
    with pytest.raises(WeightsError, match=f"at {later}: card.json is damaged"):
        locate(REFERENCE)


def test_only_what_is_not_there_is_pulled(hub: Any, commit: str) -> None:
    locate(REFERENCE)
    hub.forget_requests()
    locate(REFERENCE)
    assert hub.requests == ["GET /api/models/lab/brain", "GET /api/models/lab/brain/revision/main"]
    hub.forget_requests()
    locate(f"{REFERENCE}@{commit}")
    assert hub.requests == []


def test_offline_the_cache_is_enough(
    hub: Any, commit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    locate(REFERENCE)
    hub.stop()
    offline(monkeypatch)
    hub.forget_requests()
    assert locate(REFERENCE).folder.name == commit
    assert locate(f"{REFERENCE}@{commit}").folder.name == commit
    said = refusal("hf://lab/other")
    assert said.startswith("hf://lab/other: is not in the hub's cache, and HF_HUB_OFFLINE is set;")
    assert hub.requests == []


@pytest.mark.parametrize("fault", ["dead", "status 503"])
def test_where_the_hub_does_not_answer_the_cache_has_the_last_word(
    hub: Any, commit: str, fault: str
) -> None:
    locate(REFERENCE)
    if fault == "dead":
        hub.stop()
    else:
        hub.status = 503
    found = locate(REFERENCE)
    assert found.folder.name == commit
    assert "The hub does not answer" in found.notes[1]
    said = refusal("hf://lab/other")
    wanted = {"dead": "the connection with http://127.0.0.1", "status 503": "status 503"}[fault]
    assert wanted in said


def test_a_hub_that_says_nothing_is_not_waited_for(
    hub: Any, commit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurofm.models.pulling._ANSWER_SECONDS", 0.3)
    hub.going.clear()
    assert "does not answer in time; look at the network" in refusal(REFERENCE)


@pytest.mark.parametrize("name", _FILES)
def test_one_flipped_bit_on_the_hub_is_refused(
    hub: Any, commit: str, contents: dict[str, bytes], name: str
) -> None:
    """Case 98."""
    later = hub.repositories["lab/brain"].commit({name: flip(contents[name])})
    said = refusal(REFERENCE)
    assert said.startswith(f"{REFERENCE} at {later}: {name} is damaged")
    assert "models--lab--brain and repeat" in said
    assert "tell its owner" in said


def test_a_bit_that_flips_in_the_cache_is_refused(commit: str, monkeypatch: Any) -> None:
    path = locate(REFERENCE).folder / "weights.safetensors"
    path.write_bytes(flip(path.read_bytes()))
    offline(monkeypatch)
    assert "weights.safetensors is damaged" in refusal(REFERENCE)


@pytest.mark.parametrize(
    ("reference", "wanted"),
    [
        ("hf://lab/none", "is not on the hub, or is private and not open to you; look at the name"),
        ("hf://lab/brain@v9", "has no revision 'v9'; name a branch, a tag or a commit"),
        ("hf://lab/brain@" + "0" * 40, f"has no revision '{'0' * 40}'"),
        ("hf://lab/closed", "or is private and not open to you"),
        ("hf://lab/gated", "is gated, and you are not let in; ask for it at http://127.0.0.1"),
        ("hf://lab/empty", "holds no bundle (no card.json and no weights.safetensors); of another"),
        ("hf://lab/half", "is a bundle without its checksums.json"),
    ],
)
def test_what_cannot_be_pulled_is_refused_in_one_line(
    hub: Any, commit: str, contents: dict[str, bytes], reference: str, wanted: str
) -> None:
    from hub_stand_in import Repository

    hub.repositories["lab/closed"] = Repository(private=True)
    hub.repositories["lab/gated"] = Repository(gated=True)
    hub.repositories["lab/empty"] = Repository()
    hub.repositories["lab/half"] = Repository()
    hub.repositories["lab/gated"].commit(contents)
    hub.repositories["lab/empty"].commit({"model.bin": b"0"})
    hub.repositories["lab/half"].commit(
        {name: data for name, data in contents.items() if name != CHECKSUMS_FILE}
    )
    said = refusal(reference)
    assert said.startswith(reference)
    assert wanted in said


def test_a_private_repository_opens_with_a_token_only(
    hub: Any, commit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories["lab/brain"].private = True
    assert "not open to you" in refusal(REFERENCE)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "the hub does not take your token; hf auth login" in refusal(REFERENCE)
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    assert locate(REFERENCE).folder.name == commit


@pytest.mark.parametrize(
    "reference",
    [
        "hf://", "hf:lab/brain", "hf:/lab/brain", "hf://brain", "hf://lab/brain/sub", "hf://lab/",
        "hf://lab/brain@", "hf://lab/brain@../main", "hf://lab/../brain", "hf://datasets/lab/brain",
        "hf://lab/br ain", "hf://lab/brain@a@b", "hf://lab/-brain", "hf://lab/brain.git",
        "hf://lab/b--n", "hf://lab/brain@-x", "hf://lab/" + "b" * 97, "hf://läb/brain",
    ],
)  # fmt: skip
def test_a_malformed_reference_is_refused_before_the_hub_is_asked(hub: Any, reference: str) -> None:
    said = refusal(reference)
    assert "is no repository of the hub; write hf://OWNER/NAME or" in said
    assert hub.requests == []


def test_a_plain_run_pushed_by_hand_works_with_a_note(
    hub: Any, commit: str, contents: dict[str, bytes]
) -> None:
    from hub_stand_in import Repository

    hub.repositories["lab/run"] = Repository()
    names = ("card.json", "weights.safetensors")
    hub.repositories["lab/run"].commit({name: contents[name] for name in names})
    found = locate("hf://lab/run")
    assert "is no bundle: only its weights have a checksum" in found.notes[1]
    assert sum(p.numel() for p in load_encoder("hf://lab/run").parameters())
    hub.repositories["lab/run"].commit({names[1]: flip(contents[names[1]])})
    with pytest.raises(WeightsError, match="is damaged"):
        load_encoder("hf://lab/run")


def test_a_broken_download_goes_on_where_it_broke(
    hub: Any, commit: str, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    hub.cut = (20_000, 2)
    folder = locate(REFERENCE).folder
    assert [asked for asked in hub.ranges if asked] == ["bytes=20000-", "bytes=40000-"]
    assert (folder / "weights.safetensors").read_bytes() == contents["weights.safetensors"]


def test_what_came_before_the_hub_died_is_not_pulled_again(
    hub: Any, commit: str, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.cut = (20_000, 10**9)
    wait = time.sleep

    def die(_: float) -> None:
        wait(0.3)
        hub.stop()

    with monkeypatch.context() as patched:
        # The client waits before it tries to go on; meanwhile the other files come, the hub dies.
        patched.setattr("time.sleep", die)
        assert "the connection with http://127.0.0.1" in refusal(REFERENCE)
    offline(monkeypatch)
    assert "is not in the hub's cache" in refusal(REFERENCE)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    hub.cut = (0, 0)
    hub.start()
    hub.forget_requests()
    assert locate(REFERENCE).folder.name == commit
    pulled = [asked for asked in hub.requests if asked.startswith("GET /lab")]
    assert pulled == [f"GET /lab/brain/resolve/{commit}/weights.safetensors"]


def test_a_full_disk_is_one_line(hub: Any, commit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case F1."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    said = refusal(REFERENCE, RunError)
    assert said == (
        "hf://lab/brain: cannot be pulled (No space left on device); "
        "make room in the hub's cache, or set HF_HOME to another folder"
    )


def test_without_the_client_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurofm.models.hub.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'neurofm\[hub\]'"):
        pull(parse_hub_reference(REFERENCE), SilentProgress())
