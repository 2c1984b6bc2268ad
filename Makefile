# Everything sets itself up: a Python of 3.11 or later, make and Debian's package manager are enough.
SHELL := /bin/bash
.DEFAULT_GOAL := help

export PATH := $(CURDIR)/.venv/bin:$(PATH)
PROVIDER := tests/interop/provider
NODE_TOOLS := tests/harness/node
PYTEST_ARGS ?=

# What one floor can be tested with in seconds: no browser, no node, no kernel, no server.
FAST := tests/core tests/oauth tests/kernel tests/persistence tests/contracts tests/jupyter tests/scanning \
	tests/test_architecture.py tests/docs/test_pages.py tests/docs/test_settings.py
# What could notice the name or the place of its own folder.
FOLDER_TESTS := tests/test_cli.py tests/server/test_installed.py tests/server/test_page.py tests/demo \
	$(addprefix tests/kernels/test_,magics.py clear_errors.py nobody_there.py)

.PHONY: help setup browser test lint test-fast test-core-alone test-all-here test-together \
	test-one-by-one test-other-pythons test-elsewhere test-rigs test-faults compile-tests bench demo \
	docs screenshot clean

help:
	@echo "make demo    try nbauth with a local identity provider, in JupyterLab"
	@echo "make test-fast   unit tests, in about two minutes; no browser, no node"
	@echo "make test    everything: lint, all tests here, the tests of the rigs, the other Pythons"
	@echo "make lint    ruff, mypy, import-linter"
	@echo "make test-all-here   all but the tests of the rigs: test-together, then test-one-by-one"
	@echo "make test-rigs   tests of the test tools: harness, provider, known faults of libraries"
	@echo "make test-core-alone   tests/core in an environment that has only pytest"
	@echo "make test-elsewhere   tests that may depend on the Python version or on the folder's name"
	@echo "make test-py311 | test-py312 | test-py313    tests that may depend on the Python version"
	@echo "make test-faults    attacks and faults at full size; prints the table of figures"
	@echo "make bench   compares nbauth with other libraries; prints the table of ratios"
	@echo "make docs    write the generated pages, build HTML in build/docs, check every link"
	@echo "make screenshot   take the README's screenshot of the panel"
	@echo "make setup   the whole set-up; every other target runs the part of it that it needs"
	@echo "make clean   remove what set-up and tests have made"
	@echo "CONTRIBUTING.md says more, and how long each takes."

setup: .venv/.installed .kernels/.installed .providers/.installed $(PROVIDER)/node_modules/.installed \
	$(NODE_TOOLS)/node_modules/.installed browser

.venv/bin/python:
	@tools/setup.sh venv

.venv/.installed: pyproject.toml | .venv/bin/python
	@tools/setup.sh python
	@touch $@

.kernels/.installed: tools/setup.sh | .venv/.installed
	@tools/setup.sh kernels
	@touch $@

.providers/.installed: tools/setup.sh | .venv/.installed
	@tools/setup.sh providers
	@touch $@

%/node_modules/.installed: %/package.json %/package-lock.json | .venv/.installed
	@tools/setup.sh node $*
	@touch $@

# One after the other: both install node if it is missing.
$(NODE_TOOLS)/node_modules/.installed: | $(PROVIDER)/node_modules/.installed

browser:
	@tools/setup.sh browser

# One after the other, also with "make -j": each uses all cores by itself.
test:
	@$(MAKE) --no-print-directory -j1 lint test-core-alone test-all-here test-rigs test-other-pythons

lint: .venv/.installed
	ruff check .
	ruff format --check .
	mypy
	lint-imports

test-fast: .venv/.installed
	@tools/run_tests.sh fast python 'not browser and not node and not long and not timing' \
		$(FAST) --quiet

test-core-alone: .venv/.installed
	@tools/core_alone.sh

# Compiles the tests and the libraries that they import. Otherwise each worker of a run would do it.
compile-tests: .venv/.installed
	@unset PYTHONDONTWRITEBYTECODE && python -m pytest --collect-only --quiet -p no:cacheprovider tests | tail -n 1

test-all-here:
	@$(MAKE) --no-print-directory -j1 --keep-going test-together test-one-by-one

test-together: setup
	@tools/run_tests.sh all-here python 'not timing' tests $(if $(RIGS),,--ignore=tests/rigs)

# Only files with such a test: to collect all others would take longer than to run these.
test-one-by-one: setup
	@NBAUTH_TEST_WORKERS=0 tools/run_tests.sh timing python timing \
		$$(grep -rlE --include='test_*.py' 'pytest\.mark\.timing' tests)

test-rigs: setup
	@tools/run_tests.sh rigs python '' tests/rigs

test-other-pythons: .kernels/.installed $(PROVIDER)/node_modules/.installed
	@tools/other_pythons.sh

test-elsewhere: .kernels/.installed $(PROVIDER)/node_modules/.installed
	@tools/other_pythons.sh newest $(FOLDER_TESTS)

test-py3%: .kernels/.installed $(PROVIDER)/node_modules/.installed
	@tools/other_pythons.sh 3.$*

test-faults: setup
	.venv/bin/python -m pip install --quiet -e '.[bench]'
	NBAUTH_FAULTS=full python -m pytest tests/faults --timeout 600 $(PYTEST_ARGS)

bench: setup
	.venv/bin/python -m pip install --quiet -e '.[bench]'
	python -m benchmarks

.venv-demo/.installed: pyproject.toml
	@tools/setup.sh demo
	@touch $@

docs: .venv/.installed
	python tools/reference.py
	python -m properdocs build --strict --quiet
	@echo "The documents are in build/docs."

screenshot: setup
	PYTHONPATH=. python tools/screenshot.py

demo: .venv-demo/.installed
	.venv-demo/bin/nbauth demo

clean:
	rm -rf .venv .venv-* .kernels .providers test-results $(PROVIDER)/node_modules $(NODE_TOOLS)/node_modules
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
