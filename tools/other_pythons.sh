#!/usr/bin/env bash
# The tests that need no browser, on the Pythons of the matrix other than .venv's (or on those named).
# Ends with 1 if tests failed on one of them. A Python that this machine lacks is named and left out.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=("$@")
own=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [[ -z ${SSL_CERT_FILE:-} && -n ${REQUESTS_CA_BUNDLE:-${PIP_CERT:-}} ]]; then
  export SSL_CERT_FILE=${REQUESTS_CA_BUNDLE:-$PIP_CERT}  # uv's name for what pip calls PIP_CERT
fi

install() { # VERSION INTERPRETER FOLDER
  if [[ ! $3/.installed -nt pyproject.toml ]]; then
    printf '== Python %s: nbauth in %s\n' "$1" "$3"
    rm -rf "$3"
    if ! { .venv/bin/uv venv --quiet --no-python-downloads --python "$2" "$3" &&
      .venv/bin/uv pip install --quiet --python "$3/bin/python" -e '.[test]'; }; then
      printf '== uv could not; with pip instead\n'
      rm -rf "$3"
      "$2" -m venv "$3"
      "$3/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[test]'
    fi
    touch "$3/.installed"
  fi
}

# They run side by side, since most of these tests wait; each one's output is shown whole at its end.
versions=()
declare -A running
while read -r version interpreter; do
  if ((${#wanted[@]})); then
    [[ " ${wanted[*]} " == *" $version "* ]] || continue
  elif [[ $version == "$own" ]]; then
    continue
  fi
  if [[ $interpreter == - ]]; then
    printf '== Python %s: not found on this machine, not tested\n' "$version"
    continue
  fi
  folder=.venv-$version
  [[ $version == "$own" ]] && folder=.venv
  install "$version" "$interpreter" "$folder"
  mkdir -p test-results
  NBAUTH_TEST_KERNELS=7.4 "$folder/bin/python" -m pytest -m 'not browser' --junitxml="test-results/py$version.xml" \
    -o cache_dir=".pytest_cache/$version" ${PYTEST_ARGS:-} </dev/null >"test-results/py$version.log" 2>&1 &
  running[$version]=$!
  versions+=("$version")
done < <(.venv/bin/python tests/harness/interpreters.py)

failed=()
for version in "${versions[@]}"; do
  wait "${running[$version]}" || failed+=("$version")
  printf '== Python %s: tests that need no browser\n' "$version"
  cat "test-results/py$version.log"
done

if ((${#failed[@]})); then
  printf '== failed on Python: %s\n' "${failed[*]}" >&2
  exit 1
fi
