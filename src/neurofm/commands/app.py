"""The `neurofm` command: finds the command, runs it, turns a user's mistake into one line."""

from __future__ import annotations

import os
import sys

from cyclopts import App

# Commands are named by import path, so `neurofm --help` imports none of them.
_COMMANDS = {
    "phantom": ("phantom:phantom", "Simulate a cohort of heads with known truth."),
    "doctor": ("doctor:doctor", "Say whether a scan can be used, and how it is treated."),
    "cohorts": ("cohorts:app", "The paper's cohorts: list, show, compare with an index."),
    "index": ("index:index", "List the scans of folders and tables in one index."),
    "split": ("split:split", "Divide an index by participant, for good."),
    "preprocess": ("preprocess:preprocess", "Bring raw scans to MNI152, stripped and normalised."),
    "quality": ("quality:quality", "Show pictures, numbers and verdicts of preprocessed scans."),
    "pack": ("pack:pack", "Pack preprocessed scans for fast reading, or verify a store."),
    "plan": ("plan:plan", "Say what of a recipe fits on a GPU, how, and how long it takes."),
    "views": ("views:views", "Look at the views of a recipe before training with them."),
    "pretrain": ("pretrain:pretrain", "Pre-train an encoder on a store."),
    "train": ("train:train", "Train on a label, from scratch or from pre-trained weights."),
    "evaluate": ("evaluate:evaluate", "Embed, probe and compare with baselines."),
    "report": ("report:report", "Rebuild tables, figures and the page from saved results."),
    "embed": ("embed:embed", "Turn scans into embeddings."),
    "predict": ("predict:predict", "Predict what weights were trained on, for new scans."),
    "explain": ("explain:explain", "Show which parts of a scan a prediction rests on."),
    "reconstruct": ("reconstruct:reconstruct", "See what a masked autoencoder makes of scans."),
    "import-weights": ("import_weights:import_weights", "Read a published checkpoint."),
    "bundle": ("bundle:bundle", "Put weights in a folder to give away."),
    "push": ("push:push", "Publish a bundle on the Hugging Face Hub."),
    "export": ("export:export", "Write weights to an ONNX file."),
    "recipe": ("recipe:app", "Show and list recipes."),
    "run": ("run:run", "The whole path of a recipe, from scans to report."),
}


def build_app() -> App:
    """The command-line application with every command registered by import path."""
    app = App(
        name="neurofm",
        help="Foundation models of 3D brain MRI: prepare, pre-train, prove, use.",
        version=_version,
        suppress_keyboard_interrupt=False,
    )
    for name, (target, text) in _COMMANDS.items():
        app.command(f"neurofm.commands.{target}", name=name, help=text)
    return app


def main() -> None:
    """Entry point of the `neurofm` command.

    Exit status: 0 all done; 1 done, but some scans failed; 2 stopped by a mistake that can be
    mended; 130 interrupted. `--debug` among the arguments, or NEUROFM_DEBUG=1 in the environment,
    shows where in the program a mistake was noticed.
    """
    arguments = sys.argv[1:]
    debug = "--debug" in arguments or os.environ.get("NEUROFM_DEBUG", "") not in ("", "0")
    arguments = [argument for argument in arguments if argument != "--debug"]
    sys.exit(_run(arguments, debug))


def _run(arguments: list[str], debug: bool) -> int:
    from neurofm.errors import NeurofmError

    try:
        result = build_app()(arguments, result_action="return_value")
    except NeurofmError as error:
        if debug:
            raise
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        print("Interrupted; the same command continues.", file=sys.stderr)  # noqa: T201
        return 130
    return result if isinstance(result, int) else 0


def _version() -> str:
    from neurofm.versions import package_version

    return package_version("neurofm") or "unknown"
