# make run      the dashboard on http://127.0.0.1:8501
# make test     every check: format, lint, types, tests
# make quick    the tests that need neither TensorFlow nor a browser nor a database server, and that do not take long
# make install  what `make run` sets up, without running it
# make slow     the tests with large networks
# make bench    how fast it is with a lot in it
# make lock     constraints.txt anew from the requirements

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --compile --constraint constraints.txt

# TensorFlow without bytecode takes 16 s to import instead of 5.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run install test quick slow bench lock packages
.DELETE_ON_ERROR:

run: install
	@exec $(BIN)/python -m streamlit run app.py

install: .venv/installed

test: .venv/installed-dev packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

quick: .venv/installed-dev
	$(BIN)/python -m pytest -m quick --numprocesses 2 --dist loadfile --no-loadscope-reorder

# Networks of up to 25 million parameters, which take some minutes.
slow: .venv/installed-dev
	$(BIN)/python -m pytest -m slow

bench: .venv/installed-dev
	$(BIN)/python -m pytest --override-ini python_files='bench_*.py' --capture=no tests/bench

lock: .venv/installed-dev
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --upgrade \
		--no-header --no-annotate --extra s3 --extra mcu --extra onnx --extra openvino --output-file constraints.txt pyproject.toml requirements-dev.txt

# Debian's browser and database server, which some tests need.
packages:
	@.ci/packages

.venv/installed: pyproject.toml requirements.txt constraints.txt | .venv/bin/python
	@echo "Installing (TensorFlow is large: this takes some minutes the first time) …"
	@$(PIP) --editable '.[mcu]'
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	@$(PIP) --editable '.[s3,mcu,onnx,openvino]' --requirement requirements-dev.txt
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "lwdash needs Python 3.11, 3.12 or 3.13, but $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
		"Name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
