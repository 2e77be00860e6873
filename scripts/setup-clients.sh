#!/usr/bin/env bash
# Puts the Python clients that tests drive into target/clients: pinned, checked by hash, downloaded once.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=tests/clients/requirements.txt
environment=${CARGO_TARGET_DIR:-target}/clients
if cmp -s "$wanted" "$environment/installed"; then exit 0; fi

echo "Installing the Python clients for the tests into $environment"
rm -rf "$environment"
python3 -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --only-binary :all: --require-hashes --requirement "$wanted" || {
    echo "The Python clients could not be installed: PyPI must be reachable once (a mirror is set by PIP_INDEX_URL)." >&2
    exit 1
}
# Last, so that an interrupted installation is begun again.
cp "$wanted" "$environment/installed"
