#!/usr/bin/env bash
# The tests whose outcome may depend on the version of Python, on other Pythons than .venv's.
# Usage: tools/other_pythons.sh [VERSION]…: on these versions, or on all other ones.
#        tools/other_pythons.sh newest [PATH]…: on the newest other one; if there is none, on .venv's.
#        The tests in these paths run too.
# Ends with 1 if tests failed. A Python that this machine lacks is named and left out. CONTRIBUTING.md
# says what is not run here, and why.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/venv.sh

TESTS=(tests/core tests/oauth tests/kernel tests/persistence tests/kernels/test_cells.py)

wanted=("$@")
own=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [[ ${1:-} == newest ]]; then
  shift
  TESTS+=("$@")
  wanted=("$(.venv/bin/python tests/harness/interpreters.py |
    awk -v own="$own" '$1 != own && $2 != "-" { newest = $1 } END { print newest ? newest : own }')")
fi

install() { # VERSION INTERPRETER FOLDER
  if [[ ! $3/.installed -nt pyproject.toml ]]; then
    printf '== Python %s: nbauth in %s\n' "$1" "$3"
    rm -rf "$3"
    "$2" -m venv --without-pip "$3"
    install_into "$3" -e '.[test]'
    touch "$3/.installed"
  fi
}

# Otherwise each worker would compile them, and the libraries that they import.
compile_tests() { # FOLDER
  unset PYTHONDONTWRITEBYTECODE
  "$1/bin/python" -m pytest --collect-only --quiet -p no:cacheprovider "${TESTS[@]}" </dev/null | tail -n 1 || true
}

failed=()
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
  printf '== Python %s: %s\n' "$version" "${TESTS[*]}"
  compile_tests "$folder"
  NBAUTH_TEST_KERNELS=7.4 tools/run_tests.sh "py$version" "$folder/bin/python" 'not browser and not timing' \
    "${TESTS[@]}" || failed+=("$version")
done < <(.venv/bin/python tests/harness/interpreters.py)

if ((${#failed[@]})); then
  printf '== failed on Python: %s\n' "${failed[*]}" >&2
  exit 1
fi
