#!/bin/sh
# The systemd units with real paths.
#
#   units.sh render FOLDER   writes them; MAILSTACK, STATE, CONFIG, MAIL_USER and DOC say where things are
#   units.sh check           verifies them and shows how exposed each service is (at most 2.0)
#   sudo units.sh install    writes them to DESTDIR/etc, ready for "systemctl enable --now mailstack.target"
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
: "${MAILSTACK:=$here/.venv/bin/mailstack}" "${STATE:=/var/lib/mailstack}" "${MAIL_USER:=mailstack}"
: "${CONFIG:=/etc/mailstack/mailstack.toml}" "${DOC:=$here/docs/operations.md}" "${DESTDIR:=}"
# In tenths, as systemd-analyze wants it.
MOST_EXPOSED=20

fill() {
    sed -e "s|@MAILSTACK@|$MAILSTACK|g" -e "s|@STATE@|$STATE|g" -e "s|@CONFIG@|$CONFIG|g" \
        -e "s|@USER@|$MAIL_USER|g" -e "s|@DOC@|$DOC|g" "$1" > "$2"
}

render() {
    mkdir -p "$1"
    for unit in "$here"/systemd/mailstack*; do
        fill "$unit" "$1/$(basename "$unit")"
    done
}

check() {
    if ! command -v systemd-analyze > /dev/null; then
        echo "systemd-analyze is not installed, so the units are not checked" >&2
        return
    fi
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    render "$folder"
    SYSTEMD_UNIT_PATH=$folder: systemd-analyze verify --man=no "$folder"/mailstack*
    for unit in "$folder"/*.service; do
        SYSTEMD_UNIT_PATH=$folder: systemd-analyze security --offline=true --threshold=$MOST_EXPOSED \
            --no-pager "$unit" | tail -n 1
    done
}

case ${1:-} in
    render) render "$2" ;;
    check) check ;;
    install)
        render "$DESTDIR/etc/systemd/system"
        for kind in sysusers.d tmpfiles.d; do
            mkdir -p "$DESTDIR/etc/$kind"
            fill "$here/systemd/$kind/mailstack.conf" "$DESTDIR/etc/$kind/mailstack.conf"
        done
        ;;
    *)
        sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
        exit 64
        ;;
esac
