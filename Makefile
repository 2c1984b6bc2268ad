# Everything sets itself up: a Python of 3.11 or later, make and Debian's package manager are enough.
SHELL := /bin/bash
.NOTPARALLEL:
.DEFAULT_GOAL := help

export PATH := $(CURDIR)/.venv/bin:$(PATH)
PROVIDER := tests/interop/provider
NODE_TOOLS := tests/harness/node
PYTEST_ARGS ?=

.PHONY: help setup browser test lint test-all-here test-other-pythons test-faults bench demo clean

help:
	@echo "make demo    try nbauth with a local identity provider, in JupyterLab"
	@echo "make test    everything: lint, all tests here, tests without a browser on the other Pythons"
	@echo "make lint    ruff, mypy, import-linter"
	@echo "make test-py311 | test-py312 | test-py313    tests without a browser on one Python"
	@echo "make test-faults    attacks and faults at full size; prints the table of figures"
	@echo "make bench   nbauth and its peers side by side; prints the table of ratios"
	@echo "make setup   only the set-up that the others do by themselves"
	@echo "make clean   remove what set-up and tests have made"

setup: .venv/.installed .kernels/.installed $(PROVIDER)/node_modules/.installed \
	$(NODE_TOOLS)/node_modules/.installed browser

.venv/bin/python:
	@tools/setup.sh venv

.venv/.installed: pyproject.toml | .venv/bin/python
	@tools/setup.sh python
	@touch $@

.kernels/.installed: tools/setup.sh | .venv/.installed
	@tools/setup.sh kernels
	@touch $@

%/node_modules/.installed: %/package.json %/package-lock.json | .venv/.installed
	@tools/setup.sh node $*
	@touch $@

browser:
	@tools/setup.sh browser

test: lint test-all-here test-other-pythons

lint: .venv/.installed
	ruff check .
	ruff format --check .
	mypy
	lint-imports

test-all-here: setup
	python -m pytest --junitxml=test-results/all-here.xml $(PYTEST_ARGS)

test-other-pythons: .kernels/.installed $(PROVIDER)/node_modules/.installed
	@tools/other_pythons.sh

test-py3%: .kernels/.installed $(PROVIDER)/node_modules/.installed
	@tools/other_pythons.sh 3.$*

test-faults: setup
	.venv/bin/python -m pip install --quiet -e '.[bench]'
	NBAUTH_FAULTS=full python -m pytest tests/faults --timeout 600 $(PYTEST_ARGS)

bench: setup
	.venv/bin/python -m pip install --quiet -e '.[bench]'
	python -m benchmarks

demo: .venv/.installed
	.venv/bin/nbauth demo

clean:
	rm -rf .venv .venv-3.* .kernels test-results $(PROVIDER)/node_modules $(NODE_TOOLS)/node_modules
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
