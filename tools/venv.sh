# To be read with "source": how nbauth and its tests get into a virtual environment.

# uv is much faster than pip. Its variable for certificates is SSL_CERT_FILE, pip's is PIP_CERT.
if [[ -z ${SSL_CERT_FILE:-} && -n ${REQUESTS_CA_BUNDLE:-${PIP_CERT:-}} ]]; then
  export SSL_CERT_FILE=${REQUESTS_CA_BUNDLE:-$PIP_CERT}
fi

# Install into the environment in FOLDER. Python compiles what is imported: a third of the files.
install_into() { # FOLDER [argument of pip install…]
  local folder=$1
  shift
  if ! .venv/bin/python -m uv pip install --quiet --no-compile --python "$folder/bin/python" "$@"; then
    printf '== uv failed; using pip instead\n'
    "$folder/bin/python" -m ensurepip >/dev/null 2>&1 || true
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile "$@"
  fi
}
