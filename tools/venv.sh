# To be read with "source": how nbauth and its tests get into a virtual environment.

# uv is much faster than pip. Its variable for certificates is SSL_CERT_FILE, pip's is PIP_CERT.
if [[ -z ${SSL_CERT_FILE:-} && -n ${REQUESTS_CA_BUNDLE:-${PIP_CERT:-}} ]]; then
  export SSL_CERT_FILE=${REQUESTS_CA_BUNDLE:-$PIP_CERT}
fi

# Install into the environment in FOLDER; compiled, since every kernel of a test would do so anew.
install_into() { # FOLDER [argument of pip install…]
  local folder=$1
  shift
  if ! .venv/bin/python -m uv pip install --quiet --compile-bytecode --python "$folder/bin/python" "$@"; then
    printf '== uv failed; using pip instead\n'
    "$folder/bin/python" -m ensurepip >/dev/null 2>&1 || true
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
  fi
}
