# `make demo`, `make test`, `make benchmarks` and `make endurance` install what they need into .venv once and are quick after that.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Every claim that is measured in minutes on a laptop; `python -m benchmarks.NAME --help` shows larger sizes.
BENCHMARKS := distillation encoder inference metrics stage_one stage_two preprocessing scale

# What runs, grids and files have to withstand; with `fuzz` an hour or two of two cores.
FIRE := kills shared_grid ranks long_runs corruption

.PHONY: install demo test benchmarks endurance fuzz quality clean

install: $(STAMP)

$(STAMP): setup.py constraints.txt
	@echo "installing into $(VENV) (once; several GB, some minutes)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/spd_demo

test: $(STAMP)
	$(BIN)/python -m pytest

benchmarks: $(STAMP)
	for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name || exit 1; done

endurance: $(STAMP)
	for name in $(FIRE); do $(BIN)/python -m benchmarks.$$name --work endurance || exit 1; done
	$(MAKE) fuzz

fuzz: $(STAMP)
	$(BIN)/python -m benchmarks.fuzz --work endurance/fuzz

quality: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive spd_bench dataset_conversion benchmarks
	$(BIN)/python .ci/audit

clean:
	rm -rf build spd_data endurance .pytest_cache .mypy_cache .ruff_cache *.egg-info
