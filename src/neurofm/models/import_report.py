"""What an import made of the names in a checkpoint; kept beside the weights, told at each load."""

from __future__ import annotations

from pathlib import Path

from neurofm.config.knobs import Section
from neurofm.files import write_json

IMPORT_FILE = "import.json"


class ImportReport(Section):
    """Names of a checkpoint against those of the network that its adapter says it is.

    Attributes:
        adapter: name of the adapter.
        matched: present with the right shape.
        missing: not in the checkpoint, or there with another shape.
        unexpected: in the checkpoint only, or there with another shape (then shown).
        left_out: layers for another task, which an encoder does without.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    adapter: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Nothing missing, nothing left over."""
        return not self.missing and not self.unexpected

    def in_words(self) -> str:
        """How much of the checkpoint was loaded, in one line."""
        loaded, missing = len(self.matched), len(self.missing)
        words = f"{loaded} tensors loaded, {missing} missing, {len(self.unexpected)} unexpected"
        left_out = f", {len(self.left_out)} left out, for another task" if self.left_out else ""
        return f"{self.adapter}: {words}{left_out}"


def write_report(folder: Path, report: ImportReport) -> None:
    """Write `import.json` into a folder of weights."""
    write_json(folder / IMPORT_FILE, report.model_dump(mode="json"))


def read_report(folder: Path) -> ImportReport | None:
    """The report of an import; None for weights that were not imported, or where it is damaged."""
    try:
        return ImportReport.model_validate_json((folder / IMPORT_FILE).read_bytes(), strict=True)
    except (OSError, ValueError):
        return None
