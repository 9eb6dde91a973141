"""Knobs of what is watched while a run goes on, and what is kept of its embeddings at the end."""

from __future__ import annotations

from neurofm.config.knobs import Section, knob


class HealthConfig(Section):
    """What is watched while pre-training runs; none of it changes what is learnt."""

    probe_epochs: int = knob(
        10,
        "epochs",
        "A linear probe before the first epoch, after every so many; 0 for none.",
        ge=0,
    )
    probe_participants: int = knob(
        200, "participants", "As many at most, one scan of each, drawn once by the seed.", ge=10
    )
    population_participants: int = knob(
        2000,
        "participants",
        "At the end, as many at most are embedded, one scan each; how they spread goes with the "
        "weights, so that a new scan's distance can be told; 0 for none.",
        ge=0,
    )
    collapse_grace_steps: int = knob(
        100, "steps", "No alarm in the first: untrained projections lie close together too.", ge=1
    )
    collapse_window_steps: int = knob(
        20, "steps", "The alarm judges the median of the last so many.", ge=1
    )
    max_uniformity: float = knob(
        -0.2, "-", "Alarm above: a mean cosine of about 0.95 between any two projections.", lt=0
    )
    min_effective_rank: float = knob(
        2.0, "directions", "Alarm below, with batches of 8 or more: most lies on a line.", ge=1
    )
    stop_on_collapse: bool = knob(False, "-", "End the run at the alarm, with a checkpoint.")
