"""A bundle: weights that carry their contract, their card, their checksums and a golden scan."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from neurofm.config import PhantomConfig
from neurofm.errors import WeightsError
from neurofm.files import require_writable, write_text
from neurofm.inference.embed import preprocessing_of
from neurofm.inference.golden import GOLDEN_PHANTOM, make_golden, write_golden
from neurofm.models.bundle_card import model_card_text
from neurofm.models.card import Card, Metrics
from neurofm.models.checksums import MODEL_CARD_FILE, write_checksums
from neurofm.models.private_text import refuse_private_text
from neurofm.models.weights import load_encoder, load_weights, save_weights


@dataclass(frozen=True)
class Said:
    """What the makers say of their weights; an empty text keeps what the card says already.

    Attributes:
        description: one sentence.
        citation: what to cite.
        terms: the licence.
        intended_use: what the weights are for.
        limits: what they are not for.
    """

    description: str = ""
    citation: str = ""
    terms: str = ""
    intended_use: str = ""
    limits: str = ""


def make_bundle(
    run: Path,
    output: Path,
    said: Said | None = None,
    phantom: PhantomConfig = GOLDEN_PHANTOM,
    metrics: Metrics | None = None,
) -> str:
    """Make a bundle of a run, or of imported weights, in a new folder.

    Args:
        run: a folder with weights.
        output: a new or empty folder; it appears whole or not at all.
        said: texts for the card.
        phantom: the cohort whose first participant is the golden scan.
        metrics: of an evaluation of these weights; None keeps what the card says already.

    Returns:
        the digest that names every byte of the bundle.

    Raises:
        WeightsError: `output` holds something, the weights cannot be loaded, or a text of their
            card would tell a path or a participant.
        ContractError: the scans cannot be prepared as the weights' card says.
        RunError: the place cannot be written to.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise WeightsError("holds something already", "choose another -o", output)
    loaded = load_weights(run)
    card = _described(loaded.card, said or Said())
    if metrics is not None:
        card = card.model_copy(update={"metrics": metrics})
    refuse_private_text(card)
    # Imported weights want tools that neurofm only resembles; the golden scan shows neurofm's.
    config, _ = preprocessing_of(card, allow_other_contract=True)
    require_writable(output)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=output.parent) as temporary:
        folder = Path(temporary) / "bundle"
        card = save_weights(folder, loaded.state, card)
        golden = make_golden(load_encoder(folder), card.spacing_mm, config, phantom)
        write_text(folder / MODEL_CARD_FILE, model_card_text(card))
        write_golden(folder, golden)
        digest = write_checksums(folder)
        folder.replace(output)
    return digest


def _described(card: Card, said: Said) -> Card:
    return card.model_copy(update={field: text for field, text in asdict(said).items() if text})
