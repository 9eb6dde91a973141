"""The model card: every section is there, what is not known is said, nobody is named."""

from __future__ import annotations

import pytest

from neurofm.data.targets import Kind
from neurofm.evaluation.record import TaskRecord
from neurofm.models.card import CohortCount
from neurofm.models.model_card import ModelCard, as_markdown
from neurofm.models.weights_record import WeightsRecord
from neurofm.reports.tables import Cell, Row, TaskTable, card_tables

_TITLES = (
    "Intended use", "Limits", "Architecture", "Trained on", "Preprocessing", "Evaluated on",
    "Results", "Subgroups", "Leak check", "Software", "Licence and citation",
)  # fmt: skip


def _task(kind: Kind = "regression") -> TaskRecord:
    return TaskRecord(
        task="age_years", kind=kind, classes=(), scans=9, participants=8, positives=None, notes=()
    )


def _card() -> ModelCard:
    weights = WeightsRecord(
        model="SimCLR | tuned", weights_sha256="0f" * 32, recipe_fingerprint=None,
        encoder="resnet", features=512, target="age_years", overlap=0,
        trained_on=(CohortCount(cohort="IXI", participants=582, scans=600),),
        head_train_participants=350, terms="CC BY 4.0", citation="Doe 2025",
    )  # fmt: skip
    imported = WeightsRecord(
        model="imported", weights_sha256="1e" * 32, recipe_fingerprint=None, encoder="vit",
        features=192, target=None, overlap=None,
    )  # fmt: skip
    value = Cell("MAE", "4.49", "4.01 to 5.02", "±0.10")
    results = TaskTable(_task(), "Age", ("MAE",), (Row("SimCLR", (value,)),))
    parts = TaskTable(
        _task(), "Age. Subgroups: MAE", ("participants", "SimCLR"),
        (Row("Sex F", (Cell("participants", "4"), Cell("SimCLR", "n/a", note="only 4"))),),
        heading="Part",
    )  # fmt: skip
    return ModelCard(
        name="tiny", weights=(weights, imported), spacing_mm=1.0, contract="c" * 16,
        preprocessing=("bias field: n4, version 1",), participants={"AIBL": 8},
        results=card_tables([results]), subgroups=card_tables([parts]), warnings=("Few people.",),
        software={"neurofm": "0.1.0", "python": "3.11"},
    )  # fmt: skip


def _section(title: str) -> str:
    return as_markdown(_card()).split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_the_sections_stand_in_their_order() -> None:
    lines = as_markdown(_card()).splitlines()
    assert lines[0] == "# Model card: tiny"
    assert [line[3:] for line in lines if line.startswith("## ")] == list(_TITLES)


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("Intended use", "Not for diagnosis"),
        ("Limits", "- Few people."),
        ("Architecture", "| imported | vit | 192 | nothing: embeddings only | 1e1e1e1e1e1e1e1e |"),
        ("Architecture", "| SimCLR \\| tuned | resnet | 512 | age_years |"),
        ("Trained on", "| IXI | 582 | 600 |"),
        ("Trained on", "do not say whom they were pre-trained on: imported."),
        ("Trained on", "its head learnt age_years from 350 participants"),
        ("Preprocessing", "Contract `cccccccccccccccc`, 1 mm voxels."),
        ("Preprocessing", "- bias field: n4, version 1"),
        ("Evaluated on", "| AIBL | 8 |"),
        ("Results", "### Age (8 participants)"),
        ("Results", "| SimCLR | 4.49 [4.01 to 5.02] ±0.10 |"),
        ("Subgroups", "| Sex F | 4 | n/a (only 4) |"),
        ("Leak check", "- SimCLR | tuned: none\n- imported: unknown"),
        ("Software", "neurofm 0.1.0, python 3.11"),
        ("Licence and citation", "| CC BY 4.0 | Doe 2025 |"),
        ("Licence and citation", "| imported | not stated; to be filled in"),
    ],
)
def test_a_section_says_what_is_known_and_what_is_not(title: str, text: str) -> None:
    assert text in _section(title)


def test_without_an_evaluation_it_says_so() -> None:
    card = ModelCard(
        name="bundle", weights=(), spacing_mm=1.0, contract="c",
    )  # fmt: skip
    for title in ("Evaluated on", "Results", "Subgroups", "Leak check"):
        assert f"## {title}\n\nNothing." in as_markdown(card)
