"""The tools that a configuration asks for: there before any work starts, and of which version."""

from __future__ import annotations

from neurofm.config import PreprocessConfig
from neurofm.preprocess.deepbet import require_deepbet
from neurofm.preprocess.outside_brain import HD_BET, SYNTHSTRIP, require_outside_brain
from neurofm.preprocess.outside_program import Program, find_program, program_version
from neurofm.preprocess.synthseg import SYNTHSEG
from neurofm.preprocess.template_source import stripped_template


def require_back_ends(config: PreprocessConfig) -> None:
    """Find everything that preprocessing with `config` will use.

    Raises:
        MissingDependencyError: a program, library or model is missing; says how to get it.
        ConfigError: the template is missing, or is no stripped T1 in MNI152 space.
    """
    program = _brain_program(config)
    if program is None:
        require_deepbet()
    else:
        require_outside_brain(program)
    if config.tissue == "synthseg":
        find_program(SYNTHSEG)
    stripped_template(config.template)


def back_end_versions(config: PreprocessConfig) -> dict[str, str]:
    """Versions of the outside programs that `config` uses, as far as they tell them."""
    programs = [_brain_program(config), SYNTHSEG if config.tissue == "synthseg" else None]
    found = {
        program.name: program_version(find_program(program)) for program in programs if program
    }
    return {name: version for name, version in found.items() if version}


def _brain_program(config: PreprocessConfig) -> Program | None:
    return {"deepbet": None, "synthstrip": SYNTHSTRIP, "hd-bet": HD_BET}[config.brain_extraction]
