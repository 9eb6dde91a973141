# neurofm: install, try, test. Needs only Python 3.11 or newer and make.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
REHEARSAL := rehearsal
TESTS_AT_ONCE := 2

.PHONY: demo rehearsal test test-full lint docs bench wheel-check install clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       install, then the whole path on simulated heads (a few minutes)"
	@echo "make rehearsal  the paper's experiment on simulated cohorts (45 to 90 minutes)"
	@echo "make test       install, then the tests"
	@echo "make test-full  the slow tests too, on real scans where present"
	@echo "make lint       formatting, types, import floors"
	@echo "make docs       build the documentation into site/"
	@echo "make bench      measure speed; results in benchmarks/results/"

# torch first and alone: the pinned version, before any other package asks for one.
$(BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt -e '.[all,dev,docs]'
	@touch $@

install: $(BIN)/.installed

demo: install
	$(BIN)/neurofm run demo -o $(DEMO)

rehearsal: install
	$(BIN)/neurofm run paper-rehearsal -o $(REHEARSAL)

test: install
	$(BIN)/python -m pytest -m "not slow" -n $(TESTS_AT_ONCE) --dist loadfile

test-full: install
	$(BIN)/python -m pytest -n $(TESTS_AT_ONCE) --dist loadfile

lint: install
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

wheel-check: install
	bash .ci/wheel-check

bench: install
	$(BIN)/python benchmarks/run_all.py

clean:
	rm -rf $(VENV) $(DEMO) site dist build
