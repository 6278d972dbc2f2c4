#!/bin/sh
# Makes .venv with what a requirements file locks: "setup.sh runtime" or "setup.sh dev".
# Does nothing, without network, when the lock has not changed since the last time.
set -eu
cd "$(dirname "$0")/.."
want=$1
lock=requirements/$want.txt

find_python() {
    for name in ${PYTHON:-python3} python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "mailstack needs Python 3.11, 3.12 or 3.13, with venv" >&2
    exit 1
}

stamp_of() {
    # Another place, another Python or another lock: another environment.
    { pwd; .venv/bin/python -V; cat "$1"; } 2>&1 | sha256sum
}

is_done() {
    [ -f ".venv/.locked-$1" ] && [ "$(cat ".venv/.locked-$1")" = "$(stamp_of "requirements/$1.txt")" ]
}

make_venv() {
    python=$(find_python)
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        echo "Python's venv module is not complete: apt-get install python3-venv" >&2
        exit 1
    fi
    echo "Making .venv with $("$python" -V)" >&2
    rm -rf .venv
    "$python" -m venv .venv
}

link_project() {
    # The tree itself, as it is: nothing is built, nothing is copied.
    site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    pwd > "$site/mailstack-tree.pth"
    printf '#!%s\nfrom mailstack.cli.main import main\n\nmain()\n' "$(pwd)/.venv/bin/python" > .venv/bin/mailstack
    chmod +x .venv/bin/mailstack
}

compile() {
    # Every daemon would do it at each start where it may not write beside the source.
    .venv/bin/python -m compileall -q mailstack || echo "mailstack/ is not compiled: starts are slower" >&2
}

is_done "$want" && compile && exit 0
# Two makes at the same time set up once.
exec 9< Makefile
flock 9
is_done "$want" && compile && exit 0
if [ "$want" = runtime ] && is_done dev; then
    compile
    exit 0  # dev holds everything runtime does
fi
if ! { [ -x .venv/bin/python ] && head -n 1 .venv/bin/pip | grep -qF "#!$(pwd)/.venv/bin/" \
    && .venv/bin/python -m pip --version; } > /dev/null 2>&1; then
    make_venv
fi
echo "Installing what $lock locks" >&2
.venv/bin/python -m pip install -qq --disable-pip-version-check --no-input --require-hashes -r "$lock"
link_project
stamp_of "$lock" > ".venv/.locked-$want"
compile
