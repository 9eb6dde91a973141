"""Words that must not leave a site are found, ordinary ones are not."""

from __future__ import annotations

import pytest

from neurofm.config.encoders import ResNetConfig
from neurofm.config.recipe import Recipe
from neurofm.errors import WeightsError
from neurofm.models import released_model
from neurofm.models.card import Card, CohortCount
from neurofm.models.overlap import hash_participants
from neurofm.models.private_text import refuse_private_text

CARD = Card(
    encoder=ResNetConfig(),
    features=512,
    spacing_mm=1.0,
    cohorts=(CohortCount(cohort="ward", participants=2, scans=2),),
    participant_salt="salt",
    participant_hashes=tuple(hash_participants(["ward/K77-12", "ward/0042"], "salt")),
)


def with_text(text: str, field: str = "description") -> Card:
    return CARD.model_copy(update={field: text})


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("made from /home/anna/scans", "a path"),
        ("see ~/scans", "a path"),
        ("'../data'", "a path"),
        ("in C:\\data", "a path"),
        ("on \\\\server\\share", "a path"),
        ("without anna_t1.nii.gz", "the name of a scan"),
        ("without sub-12", "a participant's id"),
        ("all but K77-12.", "a participant's id"),
        ("0042 was left out", "a participant's id"),
        ("DOE^JANE", "a person's name"),
    ],
)
@pytest.mark.parametrize("field", ["description", "limits"])
def test_private_words_are_refused_without_being_repeated(text: str, kind: str, field: str) -> None:
    with pytest.raises(WeightsError, match=kind) as caught:
        refuse_private_text(with_text(text, field))
    assert f"'{field}'" in str(caught.value)
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        released_model.CITATION,
        f"{released_model.SOURCE} (file with SHA-256 {'a' * 64})",
        "CC-BY 4.0; see https://creativecommons.org/licenses/by/4.0/ and/or doi 10.1/abc",
        "K77-13 would be no one's id",
    ],
)
def test_ordinary_texts_pass(text: str) -> None:
    recipe = Recipe(name="simclr").model_dump(mode="json")
    refuse_private_text(with_text(text).model_copy(update={"recipe": recipe}))


def test_the_path_of_a_template_in_the_recipe_is_found() -> None:
    recipe = Recipe(name="r").model_dump(mode="json")
    recipe["preprocess"]["template"] = "/data/t1.nii"
    with pytest.raises(WeightsError, match="recipe.preprocess.template"):
        refuse_private_text(CARD.model_copy(update={"recipe": recipe}))
