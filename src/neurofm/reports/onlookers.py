"""The probe and the page that accompany every run that a command starts."""

from __future__ import annotations

from collections.abc import Callable

from neurofm.evaluation.epoch_probe import epoch_probe
from neurofm.reports.run_page import write_run_page
from neurofm.training.onlookers import Onlookers


def usual_onlookers(tell: Callable[[str], None]) -> Onlookers:
    """A probe where the index has labels, `run.html`, and the alarm told to `tell`."""
    return Onlookers(epoch_probe, write_run_page, tell)
