#!/bin/sh
# Make this checkout ready to run: Debian packages that are missing, and Python ones in .venv.
#
#   scripts/setup.sh            what `postcopy demo` needs
#   scripts/setup.sh --check    what `make check` needs (no root, if the packages are there)
#   scripts/setup.sh --cloud    what `make demo-openstack` needs
#   scripts/setup.sh --test     what `make test` needs
#
# It starts no service and writes nothing outside of .venv, except through apt-get, pip and uv.
set -eu

uv_version=0.13.9       # the one that wrote uv.lock
python=/usr/bin/python3 # Debian's own, whatever else the PATH offers

packages_python='python3 python3-venv python3-dev ca-certificates gcc libc6-dev libvirt-dev pkg-config'
packages_lab='mmdebstrap debian-archive-keyring mount util-linux openssh-client'
packages_pages='chromium-headless-shell fonts-dejavu-core'

space_first_gb=4 # packages, .venv, uv's cache, and the lab's cached root and kernel
space_releases_gb=1 # and the roots of two more releases
space_cloud_gb=4 # and the root of a cloud's hosts, while it is made; half of that in the end
space_later_gb=1 # what a lab that is up writes

die() { # WHAT HINT
    printf 'setup: %s: %s\n' "$1" "$2" >&2
    exit 1
}

say() { printf 'setup: %s\n' "$*"; }

# --- is this machine one that we know? ---------------------------------------------------------

check_machine() {
    [ "$(uname -s)" = Linux ] ||
        die "this is $(uname -s), and the lab is made of Linux namespaces" \
            "use a Debian 12 or 13 machine, virtual ones included"

    distribution=$(sed -n 's/^ID=//p' /etc/os-release 2>/dev/null | tr -d '"')
    release=$(sed -n 's/^VERSION_ID=//p' /etc/os-release 2>/dev/null | tr -d '"')
    case $distribution:$release in
    debian:12 | debian:13) ;;
    *)
        die "this is ${distribution:-an unnamed distribution} ${release:-(no release number)}, and only Debian 12 and 13 are known" \
            "use one of those; or install by hand what corresponds to $packages and uv, then run: uv sync"
        ;;
    esac

    [ "$(dpkg --print-architecture)" = amd64 ] ||
        die "this machine is $(dpkg --print-architecture), and the lab's guests are amd64" \
            "use an amd64 machine"
}

check_root() { # WHY
    [ "$(id -u)" -eq 0 ] || die "$1 needs root" "run make as root, or with sudo"
}

check_space() { # GIGABYTES
    for place in "$checkout" "$cache"; do
        while [ ! -d "$place" ]; do place=$(dirname "$place"); done
        free_kb=$(df -Pk "$place" | awk 'NR == 2 { print $4 }')
        [ "$free_kb" -ge $(($1 * 1000000)) ] ||
            die "$place has $((free_kb / 1000)) MB free, and $1 GB are needed" \
                "make room there, or set POSTCOPY_CACHE_DIR to a directory on a larger disk"
    done
}

# --- Debian packages ---------------------------------------------------------------------------

missing_packages() {
    for package in $packages; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            printf '%s ' "$package"
    done
}

apt() { # ARGUMENTS... (what it prints goes to $log)
    # No questions, no restarts of services by needrestart, patience with another apt-get's lock.
    DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_SUSPEND=1 \
        apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Acquire::Retries=2 \
        -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 \
        "$@" </dev/null >"$log" 2>&1
}

first_error() { # PATTERN
    grep -m 1 "$1" "$log" || tail -n 1 "$log"
}

install_packages() {
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    check_root "installing ${missing% }"

    say "fetching the lists of packages"
    unreachable=
    apt update -o APT::Update::Error-Mode=any || unreachable=$(first_error '^[EW]:')

    say "installing ${missing% }"
    # shellcheck disable=SC2086 # a list of words on purpose
    apt install --no-install-recommends $missing && return 0

    [ -z "$unreachable" ] ||
        die "apt-get update failed ($unreachable)" \
            "connect this machine to its Debian mirror, or mend /etc/apt/sources.list*"
    # shellcheck disable=SC2016 # apt-get expands it
    [ -n "$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages')" ] ||
        die "apt-get has no 'deb' source to install from" \
            "add this release's main archive to /etc/apt/sources.list"
    die "apt-get could not install ${missing% } ($(first_error '^E:'))" \
        "mend what it names, and run this again"
}

# --- Python packages, in .venv -----------------------------------------------------------------

# Whoever points pip at another index means uv too: uv does not read pip's settings.
index_of_pip() {
    "$venv/bin/pip" config list 2>/dev/null |
        sed -n "s/^\(:env:\|global\|install\)\.index-url='\(.*\)'\$/\2/p" | head -n 1
}

make_venv() {
    say "making .venv with $("$python" -V)"
    "$python" -m venv --clear "$venv" >"$log" 2>&1 ||
        die "$python could not make .venv ($(tail -n 1 "$log"))" "remove .venv and run this again"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        "uv==$uv_version" >"$log" 2>&1 ||
        die "pip could not fetch uv $uv_version ($(first_error '^ERROR:'))" "$index_hint"
    printf '%s\n' "$made_from" >"$venv/made-from"
}

error_of_uv() { # what failed, and the innermost cause
    printf '%s: %s' "$(sed -n 's/^error: //p' "$log" | head -n 1)" \
        "$(sed -n 's/^ *cause: //p' "$log" | tail -n 1)"
}

install_python_packages() {
    say "installing the Python packages of uv.lock into .venv"
    groups=
    [ "$tools" = with-tools ] || groups=--no-dev
    UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-${UV_INDEX_URL:-$(index_of_pip)}}
    if [ -n "$UV_DEFAULT_INDEX" ]; then
        export UV_DEFAULT_INDEX
        install_from_index
    else
        unset UV_DEFAULT_INDEX
        # shellcheck disable=SC2086 # no word or one
        "$venv/bin/uv" sync --quiet --frozen $groups 2>"$log"
    fi || die "uv could not install the packages of uv.lock ($(error_of_uv))" "$index_hint"
    printf '%s\n' "$holds $tools" >"$venv/holds"
}

# uv.lock names the public index; with another, its versions and hashes count and not its addresses.
install_from_index() {
    requirements=$log.txt
    # shellcheck disable=SC2086 # no word or one
    "$venv/bin/uv" export --quiet --frozen --no-emit-project $groups \
        --output-file "$requirements" 2>"$log" &&
        "$venv/bin/uv" pip sync --quiet --python "$venv" --require-hashes "$requirements" 2>"$log" &&
        "$venv/bin/uv" pip install --quiet --python "$venv" --no-deps --editable . 2>"$log"
}

# --- all of it ---------------------------------------------------------------------------------

space_gb=$space_first_gb tools=with-tools
case ${1-} in
'') level=demo packages="$packages_python $packages_lab" tools=without-tools ;;
--check) level=check packages=$packages_python space_gb=$space_later_gb ;;
--cloud) level=cloud packages="$packages_python $packages_lab" tools=without-tools ;;
--test)
    level=test packages="$packages_python $packages_lab $packages_pages"
    space_gb=$((space_first_gb + space_releases_gb))
    ;;
*) die "unknown option $1" "see the top of scripts/setup.sh" ;;
esac

cd "$(dirname "$0")/.."
checkout=$PWD
venv=$checkout/.venv
cache=${POSTCOPY_CACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/postcopy}
index_hint="connect this machine to the Python package index, or name a mirror in PIP_INDEX_URL, and run this again"

check_machine
[ "$level" = check ] || check_root "the lab"
[ ! -f "$venv/holds" ] || space_gb=$space_later_gb
case $level in
cloud | test) [ -d "$cache/roots/trixie-openstack" ] || space_gb=$((space_gb + space_cloud_gb)) ;;
esac
check_space $space_gb

log=$(mktemp)
trap 'rm -f "$log" "$log.txt"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

install_packages

# Where things go is ours to say; mirrors, proxies and certificates are the user's.
unset PIP_USER PIP_TARGET PIP_PREFIX PYTHONHOME PYTHONPATH VIRTUAL_ENV CONDA_PREFIX
export PIP_RETRIES="${PIP_RETRIES:-2}"
export UV_PYTHON="$python" UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT="$venv"
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}"

made_from="$("$python" -V) in $checkout by uv $uv_version"
[ "$(cat "$venv/made-from" 2>/dev/null)" = "$made_from" ] || make_venv

holds=$(cat pyproject.toml uv.lock | sha256sum | cut -d ' ' -f 1)
case $(cat "$venv/holds" 2>/dev/null) in
"$holds with-tools" | "$holds $tools") ;;
*)
    # Tools that are there stay there: `make demo` between two `make test` takes nothing away.
    ! grep -qs with-tools "$venv/holds" || tools=with-tools
    install_python_packages
    say "done: the command is .venv/bin/postcopy"
    ;;
esac
