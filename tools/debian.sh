#!/bin/bash
# The Debian packages whose programs the tests drive as a user would.  Root gets them
# installed; everybody else is told, and the tests that need them skip, saying why.
# MAILSTACK_NO_APT=1: never install.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/sbin:/sbin

missing=()
while read -r program package; do
    command -v "$program" > /dev/null || missing+=("$package")
done <<'LIST'
swaks swaks
mbsync isync
mutt mutt
curl curl
strace strace
openssl openssl
dovecot dovecot-imapd
offlineimap offlineimap3
fetchmail fetchmail
getmail getmail6
gsasl gsasl
mpop mpop
msmtp msmtp
sieve-connect sieve-connect
thunderbird thunderbird
mkfs.ext4 e2fsprogs
mount mount
unshare util-linux
LIST
# mbsync logs in with SCRAM through it.
compgen -G '/usr/lib/*/sasl2/libscram.so' > /dev/null || missing+=(libsasl2-modules)
# swaks talks TLS with it.
perl -MNet::SSLeay -e 1 2> /dev/null || missing+=(libnet-ssleay-perl)
# Debian has one mail server at a time: where another is installed, it stays and Postfix is not.
command -v postfix > /dev/null || command -v sendmail > /dev/null || missing+=(postfix)

# Exim stands unpacked beside it; what it is linked with is installed.
exim=.tools/exim4/usr/sbin/exim4
if [ ! -x "$exim" ] && command -v apt-get > /dev/null && [ "${MAILSTACK_NO_APT:-}" != 1 ]; then
    place=$(mktemp -d)
    if (cd "$place" && timeout 120 apt-get -q -o APT::Sandbox::User=root download exim4-daemon-light) \
        > "$place/log" 2>&1 && dpkg -x "$place"/exim4-daemon-light_*.deb "$place/exim4"; then
        mkdir -p .tools
        chmod u-s "$place/exim4/usr/sbin/exim4"
        mv "$place/exim4" .tools/
    else
        tail -n 5 "$place/log" >&2
        echo "Exim could not be fetched, so some tests are skipped" >&2
    fi
    rm -rf "$place"
fi
# So does clamd, which would else want a daemon that downloads signatures.
if [ ! -x .tools/clamav/usr/sbin/clamd ] && command -v apt-get > /dev/null && [ "${MAILSTACK_NO_APT:-}" != 1 ]; then
    place=$(mktemp -d)
    if (cd "$place" && timeout 120 apt-get -q -o APT::Sandbox::User=root download \
        clamav-daemon libclamav12 libmspack0) > "$place/log" 2>&1 \
        && for package in "$place"/*.deb; do dpkg -x "$package" "$place/clamav"; done; then
        mkdir -p .tools
        mv "$place/clamav" .tools/
    else
        tail -n 5 "$place/log" >&2
        echo "clamd could not be fetched, so some tests are skipped" >&2
    fi
    rm -rf "$place"
fi
while read -r library package; do
    if [ -x "$exim" ] && ldd "$exim" | grep -q "$library.*not found"; then
        missing+=("$package")
    fi
done <<'LIST'
libdb-5.3 libdb5.3
libgnutls-dane libgnutls-dane0
libidn.so libidn12
libnsl libnsl2
LIST
clamd=.tools/clamav/usr/sbin/clamd
while read -r library package; do
    if [ -x "$clamd" ] && LD_LIBRARY_PATH=$(echo .tools/clamav/usr/lib/*-gnu) ldd "$clamd" \
        | grep -q "$library.*not found"; then
        missing+=("$package")
    fi
done <<'LIST'
libcurl.so libcurl4
libjson-c libjson-c5
libpcre2-8 libpcre2-8-0
libxml2 libxml2
LIST
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || [ "${MAILSTACK_NO_APT:-}" = 1 ] || ! command -v apt-get > /dev/null; then
    echo "Not installed, so some tests are skipped: ${missing[*]}" >&2
    exit 0
fi

# No package may start a service here.
policy=/usr/sbin/policy-rc.d
saved=$(mktemp -d)
restore() {
    rm -f "$policy"
    [ ! -e "$saved/policy-rc.d" ] || mv "$saved/policy-rc.d" "$policy"
    rm -rf "$saved"
}
[ ! -e "$policy" ] || mv "$policy" "$saved/policy-rc.d"
trap restore EXIT
trap 'exit 1' INT TERM
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive
install() {
    timeout 300 apt-get -q -y -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold \
        install --no-install-recommends "${missing[@]}"
}
echo "Installing for the tests: ${missing[*]}" >&2
if ! install > "$saved/log" 2>&1; then
    timeout 120 apt-get -q -o DPkg::Lock::Timeout=120 update >> "$saved/log" 2>&1 || true
    if ! install >> "$saved/log" 2>&1; then
        tail -n 5 "$saved/log" >&2
        echo "Could not be installed, so some tests are skipped: ${missing[*]}" >&2
    fi
fi
