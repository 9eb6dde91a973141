"""The options that say another tool prepared the scans of a list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from neurofm.preprocess.turboprep import TurboPrepList


@Parameter(name="*")
@dataclass(frozen=True)
class PreparedBy:
    """Who prepared the scans.

    Parameters
    ----------
    prepared_by
        turboprep: SOURCE is a table of TurboPrep's results, with image_path and mask_path.
    transform
        How TurboPrep registered: rigid (-r r) or affine (its default).
    one_scan_per_participant
        Every row of a table without participant_id is a person of its own.
    """

    prepared_by: Literal["neurofm", "turboprep"] = "neurofm"
    transform: Literal["rigid", "affine"] | None = None
    one_scan_per_participant: Annotated[bool, Parameter(negative="")] = False

    def turboprep_list(self, *sources: Path) -> TurboPrepList | None:
        """The list of TurboPrep's results, or None where neurofm prepares the scans.

        Raises:
            ConfigError: options that do not go together.
        """
        from neurofm.errors import ConfigError
        from neurofm.preprocess.turboprep import TurboPrepList

        if self.prepared_by == "turboprep":
            if self.transform is None:
                raise ConfigError(
                    "is missing", "say rigid (-r r) or affine (TurboPrep's default)", "--transform"
                )
            if len(sources) != 1:
                raise ConfigError("takes one table", "put all scans in it", "--prepared-by")
            return TurboPrepList(sources[0], self.transform, self.one_scan_per_participant)
        if self.transform is not None or self.one_scan_per_participant:
            name = "--transform" if self.transform else "--one-scan-per-participant"
            raise ConfigError(
                "belongs to other tools' results", "add --prepared-by turboprep", name
            )
        return None
