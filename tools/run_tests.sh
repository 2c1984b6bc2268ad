#!/usr/bin/env bash
# Run tests: first most of them side by side, then those marked "timing" one by one.
# Usage: tools/run_tests.sh NAME PYTHON MARKS PATH… [-- option of pytest…]
# MARKS is an expression for pytest's -m, or ''. Results: test-results/NAME.xml, NAME-timing.xml.
# NBAUTH_TEST_WORKERS says how many processes run tests at once.
set -euo pipefail
cd "$(dirname "$0")/.."

name=$1 python=$2 marks=${3:+($3) and }
shift 3
paths=()
while (($#)) && [[ $1 != -- ]]; do
  paths+=("$1")
  shift
done
(($#)) && shift
workers=${NBAUTH_TEST_WORKERS:-$(($(nproc) + 1))}  # with two per core, browsers slow each other down
mkdir -p test-results

run() { # RESULT EXPRESSION [option…]
  local result=$1 expression=$2
  shift 2
  # shellcheck disable=SC2086  # PYTEST_ARGS are words
  "$python" -m pytest -m "$expression" --junitxml="test-results/$result.xml" \
    -o cache_dir=".pytest_cache/$result" "$@" ${PYTEST_ARGS:-} </dev/null
}

first=0 second=5
run "$name" "${marks}not timing" -n "$workers" --dist loadfile "${paths[@]}" "$@" || first=$?
# Only files with such a test: collecting all others again would take longer than running these.
timed=()
if [[ $marks != *'not timing'* ]]; then
  mapfile -t timed < <(grep -rlE --include='test_*.py' 'pytest\.mark\.timing' "${paths[@]}")
fi
if ((${#timed[@]})); then
  second=0
  run "$name-timing" "${marks}timing" "${timed[@]}" "$@" || second=$?
fi
# 5 means that no test was selected, which is fine for one of the two runs.
if ((first == 5 && second == 5)); then
  exit 5
fi
((first == 0 || first == 5)) && ((second == 0 || second == 5))
