#!/usr/bin/env bash
# tests/core with pytest and nothing else installed: the floor that needs the standard library alone.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/venv.sh

if [[ ! -f .venv-core/.installed ]]; then
  rm -rf .venv-core
  .venv/bin/python -m venv --without-pip .venv-core
  install_into .venv-core pytest
  touch .venv-core/.installed
fi
mkdir -p test-results
PYTHONPATH=$PWD exec .venv-core/bin/python -m pytest tests/core --quiet \
  --junitxml=test-results/core-alone.xml -o cache_dir=.pytest_cache/core-alone
