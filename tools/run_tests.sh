#!/usr/bin/env bash
# Run tests. Usage: tools/run_tests.sh NAME PYTHON MARKS [path or option of pytest]…
# MARKS is an expression for pytest's -m, or ''. The result is test-results/NAME.xml.
# NBAUTH_TEST_WORKERS says how many processes run tests at once; 0 is this process alone.
set -euo pipefail
cd "$(dirname "$0")/.."

name=$1 python=$2 marks=$3
shift 3
workers=${NBAUTH_TEST_WORKERS:-$(($(nproc) * 2))}  # many tests wait
mkdir -p test-results
unset PYTHONDONTWRITEBYTECODE  # images of containers set it; then each process compiles all it imports
# A worker that crashed is not replaced: the run would wait for the new one for ever.
# shellcheck disable=SC2086  # PYTEST_ARGS are words
exec "$python" -m pytest -m "$marks" --junitxml="test-results/$name.xml" --max-worker-restart=0 \
  -o cache_dir=".pytest_cache/$name" -n "$workers" --dist loadfile "$@" ${PYTEST_ARGS:-} </dev/null
