# `make demo` and `make test` install what they need into .venv once and are quick after that.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: install demo test quality clean

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

quality: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf build spd_data .pytest_cache .mypy_cache .ruff_cache *.egg-info
