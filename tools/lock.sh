#!/bin/sh
# Writes requirements/runtime.txt and dev.txt: the newest versions pyproject.toml allows,
# for Python 3.11 to 3.13, each with the hashes of its files, and no address of any registry.
set -eu
cd "$(dirname "$0")/.."
[ -x .tools/bin/uv ] || {
    python3 -m venv .tools
    .tools/bin/python -m pip install -qq --disable-pip-version-check uv
}
compile() {
    output=$1
    shift
    .tools/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file "$output" "$@" pyproject.toml
}
compile requirements/runtime.txt
compile requirements/dev.txt --extra dev
