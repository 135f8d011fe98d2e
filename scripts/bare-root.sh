#!/bin/bash
# Prove the first commands of the README where nobody has prepared anything: in a Debian root with
# nothing but git and make, run `make demo && make test`, or what is given.
#
#   scripts/bare-root.sh [--release 12|13] [--uncommitted] [--keep] [COMMAND...]
#
#   --release      which Debian (12)
#   --uncommitted  take the files as they are now, not those of HEAD
#   --keep         leave the root where it is, to look around in
#
# The root has mount, pid, uts and ipc namespaces of its own, and this machine's network, so that
# a proxy, a mirror or a certificate authority of this machine is in force there too.
# Needs root and mmdebstrap. Leaves nothing behind, and fails if the command leaves network links.
set -euo pipefail

die() { # WHAT HINT
    printf 'bare-root: %s: %s\n' "$1" "$2" >&2
    exit 1
}

links() { find /sys/class/net -mindepth 1 -printf '%f\n' | sort; }

say() { printf 'bare-root: [%4d s] %s\n' "$SECONDS" "$*" >&2; }

# --- inside, in new namespaces: make $1 the root of everything, then run the rest ----------------

if [ "${1-}" = --inside ]; then
    root=$2
    shift 2
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs sysfs "$root/sys"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    mkdir -p "$root/dev/pts" "$root/dev/shm" "$root/dev/net" "$root/run/lock" "$root/old"
    for node in null zero full random urandom tty userfaultfd fuse kvm net/tun; do
        if [ -e "/dev/$node" ]; then cp -a "/dev/$node" "$root/dev/$node"; fi
    done
    mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    ln -s fd/0 "$root/dev/stdin"
    ln -s fd/1 "$root/dev/stdout"
    ln -s fd/2 "$root/dev/stderr"
    hostname bare
    cd "$root"
    pivot_root . old
    umount -l /old
    cd /root/postcopy
    "$@" </dev/null # as a child: this shell is PID 1 here, and adopts and reaps orphans
    exit
fi

# --- outside -------------------------------------------------------------------------------------

release=12 uncommitted='' keep=''
while [ $# -gt 0 ]; do
    case $1 in
    --release) release=${2-} && shift ;;
    --uncommitted) uncommitted=yes ;;
    --keep) keep=yes ;;
    --)
        shift
        break
        ;;
    -*) die "unknown option $1" "see the top of scripts/bare-root.sh" ;;
    *) break ;;
    esac
    shift
done
[ $# -gt 0 ] || set -- sh -c 'make demo && make test'

case $release in
12) suite=bookworm ;;
13) suite=trixie ;;
*) die "no Debian release '$release' is known here" "use 12 or 13" ;;
esac
[ "$(id -u)" -eq 0 ] || die "a root is made of namespaces, and they need root" "use sudo"
command -v mmdebstrap >/dev/null || die "mmdebstrap is missing" "run make setup"

checkout=$(cd "$(dirname "$0")/.." && pwd)
base=$(mktemp -d -p "${TMPDIR:-/var/tmp}" postcopy-bare.XXXXXX)
root=$base/root
links_before=$(links)
inside=

clean_up() {
    status=$?
    trap - EXIT
    # The namespaces end with their first process, and its mounts and children with them.
    if [ -n "$inside" ] && kill -KILL "$inside" 2>/dev/null; then
        wait "$inside" 2>/dev/null || true
    fi
    if [ -n "$keep" ]; then
        say "left as it is: $root"
    else
        rm -rf --one-file-system "$base"
    fi
    links_left=$(comm -13 <(echo "$links_before") <(links))
    if [ -n "$links_left" ]; then
        say "network links were left behind: ${links_left//$'\n'/ }"
        [ "$status" -ne 0 ] || status=1
    fi
    say "ended with exit code $status"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "making a bare Debian $release"
mkdir "$root"
mmdebstrap --quiet --variant=minbase --include=git,make "$suite" "$root"

say "handing on how this machine reaches its network"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
echo '127.0.1.1 bare' >>"$root/etc/hosts" # as Debian's installer does
mkdir -p "$root/usr/local/share/ca-certificates"
find /usr/local/share/ca-certificates -name '*.crt' \
    -exec cp -t "$root/usr/local/share/ca-certificates" {} + 2>/dev/null || true
if [ -e /etc/pip.conf ]; then cp /etc/pip.conf "$root/etc/"; fi
apt-config dump Acquire::http::Proxy Acquire::https::Proxy 2>/dev/null |
    grep -v '""' >"$root/etc/apt/apt.conf.d/50proxy" || true
environment=(HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY \
    SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE \
    PIP_CERT PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT \
    UV_DEFAULT_INDEX UV_INDEX UV_INDEX_URL UV_EXTRA_INDEX_URL UV_INSECURE_HOST UV_HTTP_TIMEOUT; do
    if [ -n "${!name-}" ]; then environment+=("$name=${!name}"); fi
done

if [ -n "$uncommitted" ]; then
    say "copying $checkout as it is"
    mkdir -p "$root/root/postcopy"
    git -C "$checkout" ls-files -z --cached --others --exclude-standard |
        tar -C "$checkout" --null --files-from=- --ignore-failed-read -cf - |
        tar -C "$root/root/postcopy" --no-same-owner -xf -
else
    say "cloning $checkout at $(git -C "$checkout" rev-parse --short HEAD)"
    git clone --quiet --depth 1 "file://$checkout" "$root/root/postcopy"
fi

say "running: $*"
unshare --mount --pid --uts --ipc --fork --kill-child \
    env -i "${environment[@]}" "$checkout/scripts/bare-root.sh" --inside "$root" "$@" &
inside=$!
wait "$inside"
