"""`neurofm report`: rebuild the page of an evaluation, or of a pre-training, from saved results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import out


def report(
    folder: Path,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    run: Path | None = None,
) -> int:
    """Write one self-contained HTML page; of an evaluation or a study, also its tables.

    Their numbers are computed again from the saved predictions.

    Parameters
    ----------
    folder
        Of a finished neurofm evaluate, of a recipe or a study, or of neurofm pretrain, under way
        or finished.
    output
        The page; in the folder by default, report.html or run.html.
    run
        The pre-training run of an evaluation, for its loss curve.
    """
    from neurofm.errors import RunError
    from neurofm.evaluation.record import RECORD
    from neurofm.evaluation.saved_tables import rebuild_evaluation
    from neurofm.reports.page import write_report
    from neurofm.reports.run_page import write_run_page
    from neurofm.reports.study_page import write_study_page
    from neurofm.reports.training_log import has_log
    from neurofm.study.record import STUDY
    from neurofm.study.tabulating import rebuild_study

    again: tuple[str, ...] = ()
    if (folder / STUDY).is_file() and run is None:
        again, page = rebuild_study(folder), write_study_page(folder, output)
    elif has_log(folder) and run is None:
        page = write_run_page(folder, output)
    elif not (folder / RECORD).is_file():
        raise RunError(
            "holds neither a finished evaluation nor a pre-training",
            "give the folder of neurofm evaluate -o or neurofm pretrain -o", folder,
        )  # fmt: skip
    else:
        again = rebuild_evaluation(folder)
        page = write_report(folder, run, output or folder / "report.html")
    if again:
        out.print(f"Computed again: {', '.join(again)}", markup=False, soft_wrap=True)
    out.print(f"Report: {page.resolve()}", markup=False, soft_wrap=True)
    return 0
