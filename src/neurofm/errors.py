"""Every error neurofm raises on purpose: one tree, one line each, with the mend."""

from __future__ import annotations

from pathlib import Path


class NeurofmError(Exception):
    """Something a user can mend; the message says where, what is wrong and what to do.

    Args:
        what: what is wrong, in plain words.
        mend: what to do about it; may be empty where nothing can be done.
        where: the file, recipe or value it is about.
    """

    def __init__(self, what: str, mend: str = "", where: Path | str | None = None) -> None:
        self.what = what
        self.mend = mend
        self.where = None if where is None else str(where)
        super().__init__(what, mend, self.where)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return _one_line(f"{text}; {self.mend}" if self.mend else text)


class ConfigError(NeurofmError):
    """A recipe, an override or an option that cannot be used; raised before any work starts."""


class TableError(NeurofmError):
    """An index, a participants table or a label that cannot be used; raised before work starts."""


class ScanError(NeurofmError):
    """One scan that cannot be used; it is recorded and the other scans go on.

    Args:
        kind: a short word for the class of problem ("truncated", "missing", "not-3d"...), the
            `kind` column of `failures.csv`.
    """

    def __init__(
        self, what: str, mend: str = "", where: Path | str | None = None, kind: str = "unusable"
    ) -> None:
        self.kind = kind
        super().__init__(what, mend, where)

    def __reduce__(self) -> tuple[type[ScanError], tuple[str, str, str | None, str]]:
        return type(self), (self.what, self.mend, self.where, self.kind)


class StoreError(NeurofmError):
    """A packed store that is damaged, incomplete or of another contract."""


class WeightsError(NeurofmError):
    """A checkpoint or weights folder that cannot be loaded as it stands."""


class ContractError(NeurofmError):
    """Data of one preprocessing contract offered to a model of another."""


class RunError(NeurofmError):
    """A training or evaluation run that cannot start or cannot go on."""


class LeakageError(NeurofmError):
    """A participant or scan on both sides of a line that must not be crossed."""


class MissingDependencyError(NeurofmError):
    """A library of an optional extra that is not installed."""


def _one_line(text: str) -> str:
    return " ".join(text.split())
