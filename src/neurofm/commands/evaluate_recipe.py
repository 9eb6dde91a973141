"""`neurofm evaluate RECIPE`: embed, probe, compare with baselines, print the tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neurofm.commands.console import BarProgress
from neurofm.commands.weights_reference import located


def evaluate_recipe(  # noqa: PLR0917 - the arguments of neurofm evaluate
    recipe: str, overrides: tuple[str, ...], store: Path, weights: Sequence[str], output: Path,
    allow_overlap: bool, allow_other_contract: bool,
) -> int:  # fmt: skip
    """Evaluate weights as a recipe says, write their model card, and print the results."""
    from neurofm.commands.result_tables import print_results
    from neurofm.config.recipe import load_recipe
    from neurofm.evaluation.given import Given, parse_given
    from neurofm.evaluation.protocol import evaluate
    from neurofm.reports.card_facts import write_evaluation_card
    from neurofm.store.reader import open_store

    chosen, packed = load_recipe(recipe, overrides), open_store(store)
    found = [(name, located(reference)) for name, reference in map(parse_given, weights)]
    given = [Given(each.folder, name, each.name) for name, each in found]
    evaluate(
        chosen, packed, given, output,
        allow_overlap=allow_overlap, allow_other_contract=allow_other_contract,
        progress=BarProgress(),
    )  # fmt: skip
    write_evaluation_card(output)
    print_results(output)
    return 0
