"""Benchmarks, which no test runs whole: what they import is there, and no failure is a result."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_what_a_benchmark_imports_of_neurofm_is_there(script: Path) -> None:
    wanted = set(_imported(script))
    assert sorted(name for name in wanted if not _is_there(*name)) == []


def test_a_name_that_is_gone_is_noticed() -> None:
    assert _is_there("neurofm.models.population", "population_in")
    assert not _is_there("neurofm.models.population", "load_population")
    assert _is_there("neurofm.models", "population")
    assert not _is_there("neurofm.no_such_module", "population_in")


@pytest.mark.parametrize("ends", ["raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)"])
def test_a_benchmark_that_fails_leaves_its_last_result(
    ends: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script, results = tmp_path / "bench_speed.py", tmp_path / "results"
    results.mkdir()
    script.write_text("print('7 scans a second')")
    assert _run_all().keep_result(script, ["--json", "--full-size"], results)
    (result,) = results.iterdir()
    assert result.name == "bench_speed-full-size.txt"
    before = result.read_text()
    assert before.endswith("python bench_speed.py --json --full-size\n7 scans a second\n")
    script.write_text(f"print('0 scans', flush=True); {ends}")
    assert not _run_all().keep_result(script, ["--json", "--full-size"], results)
    assert result.read_text() == before
    assert "its result was not kept" in capsys.readouterr().out


def _run_all() -> ModuleType:
    spec = spec_from_file_location("run_all", ROOT / "benchmarks" / "run_all.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _imported(script: Path) -> Iterator[tuple[str, str]]:
    """Module and name of each import from neurofm; the name is empty where it is all of it."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            pairs = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            pairs = [(node.module or "", alias.name) for alias in node.names]
        else:
            continue
        yield from (pair for pair in pairs if pair[0].split(".")[0] == "neurofm")


def _is_there(module: str, name: str) -> bool:
    path = _file_of(module)
    if path is None:
        return False
    return not name or name in _defined(path) or _file_of(f"{module}.{name}") is not None


def _file_of(module: str) -> Path | None:
    place = ROOT.joinpath("src", *module.split("."))
    return next((p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()), None)


def _defined(path: Path) -> set[str]:
    """Names that a module's own lines define or import, not those inside functions."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        else:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            waiting.extend(ast.iter_child_nodes(node))
    return names
