#!/usr/bin/env bash
# Runs tests/core with nothing but pytest installed: nbauth.core needs only the standard library.
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
