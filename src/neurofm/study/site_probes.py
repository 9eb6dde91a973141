"""What sites do to a study: whether encoders tell them apart, and what holds at one never seen."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from threadpoolctl import threadpool_limits

from neurofm.config.study import TaskOfStudy
from neurofm.evaluation.baselines import SITE, Model, baselines
from neurofm.evaluation.left_out_sites import left_out_predictions
from neurofm.evaluation.testing import probe_test_parts
from neurofm.study.opened import OpenedStudy
from neurofm.study.probes import Encoding, random_rows
from neurofm.study.record import encoder_probe


def site_rows(encoding: Encoding) -> pd.DataFrame:
    """Predictions of the site by each encoder and the baselines; no columns without such a task."""
    opened = encoding.opened
    if opened.site is None:
        return pd.DataFrame()
    models = [*_of_encoders(encoding), *random_rows(encoding)]
    with threadpool_limits(1):
        found, _ = probe_test_parts(
            opened.frame, [opened.site], lambda _: models, encoding.progress
        )
    return found


def left_out_rows(encoding: Encoding) -> pd.DataFrame:
    """Predictions of each site's people by what was learnt at the other sites, of every task.

    Linear probes of each encoder and of one with random weights, and the baselines but the site,
    which nobody can have learnt of. Without columns where no task has three sites.
    """
    study, progress = encoding.opened.study, encoding.progress
    encoders = _of_encoders(encoding)
    if not encoders:
        return pd.DataFrame()
    encoders += [Model(each.name, each.repeats[:1]) for each in random_rows(encoding)]
    progress.start("Leaving sites out", len(study.tasks), "tasks")
    tables = []
    with threadpool_limits(1):
        for task in study.tasks:
            found = _left_out_of(encoding.opened, task, encoders)
            tables += [found.assign(task=task.name)] if len(found) else []
            progress.advance(note=task.name)
    progress.finish()
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _left_out_of(opened: OpenedStudy, task: TaskOfStudy, encoders: Sequence[Model]) -> pd.DataFrame:
    others = [each for each in baselines(opened.frame, task.target) if each.name != SITE]
    models = [*encoders, *others]
    return left_out_predictions(
        opened.frame, [opened.whole(task)], lambda _: models, opened.study.seed
    )


def _of_encoders(encoding: Encoding) -> list[Model]:
    return [
        Model(encoder_probe(name), (encoding.of(run),))
        for name, run in encoding.opened.encoders.items()
    ]
