"""The probe, the pictures and the page that accompany every run that a command starts."""

from __future__ import annotations

from neurofm.evaluation.epoch_probe import epoch_probe
from neurofm.reports.run_page import write_run_page
from neurofm.reports.run_pictures import run_picture
from neurofm.training.onlookers import Onlookers

# A probe where the index has labels, pictures of what reconstructs, and `run.html`.
ONLOOKERS = Onlookers(epoch_probe, write_run_page, run_picture)
