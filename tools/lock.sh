#!/bin/sh
# Writes requirements/runtime.txt and dev.txt: the newest versions pyproject.toml allows,
# each with the hashes of its files, and no address of any registry.
set -eu
cd "$(dirname "$0")/.."
[ -x .tools/bin/pip-compile ] || {
    python3 -m venv .tools
    .tools/bin/python -m pip install -qq --disable-pip-version-check pip-tools
}
compile() {
    output=$1
    shift
    .tools/bin/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --no-header \
        --no-annotate --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
        --output-file "$output" "$@" pyproject.toml
}
compile requirements/runtime.txt
compile requirements/dev.txt --extra dev
