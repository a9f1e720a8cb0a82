# Installs the servers that the tests run against; scripts/setup.sh sources it.
# docs/testing.md lists them. Nothing is started here: internal/servers does.
#
# Redis, PostgreSQL and MariaDB come from apt. What Debian's stable release
# lacks is unpacked from the suites that have it into private folders below the
# cache, each with its own C library, so that nothing of the machine changes.
# Those suites move: what they no longer give is left out, and said so, by a
# file in the cache's folder left-out that holds the reason.
# shellcheck shell=bash

debian=$cache/debian # the private roots
left_out=$cache/left-out

# leave_out NAME… REASON: the tests of these servers may be skipped.
leave_out() {
    local reason=${*: -1} name
    mkdir -p "$left_out"
    for name in "${@:1:$#-1}"; do
        printf '%s\n' "$reason" >"$left_out/$name"
        say "left out: $name: $reason"
    done
}

# without_services COMMAND…: keeps packages from starting their services, which
# the tests have no use for, unless the machine has its own rule for that.
without_services() {
    local rule=/usr/sbin/policy-rc.d status=0 ours=no
    if [ ! -e $rule ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee $rule >/dev/null && as_root chmod 755 $rule
        ours=yes
    fi
    "$@" || status=$?
    [ $ours = no ] || as_root rm -f $rule
    return $status
}

postgres_ok() { has postgres || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; }
redis_ok() { has redis-server; }
# mariadb-install-db needs a program of the client package.
mariadb_ok() {
    { has mariadbd || [ -x /usr/sbin/mariadbd ]; } && has mariadb-install-db && has my_print_defaults
}
patchelf_ok() { has patchelf; }
flock_ok() { has flock; }

# own_root SUITE ROOT PACKAGE…: unpacks packages of a Debian suite, and what
# they depend on, into a folder. It takes the mirror that apt is set up with.
# On failure $trouble says why; status 2 means that the suite is to blame.
own_root() {
    local suite=$1 root=$2 apt=$2.apt mirror deb file dir
    shift 2
    say "unpack $* of Debian $suite -> $root"
    rm -rf "$root" "$apt"
    mkdir -p "$apt"/{lists,cache/archives}/partial "$root"/usr/{bin,sbin,lib,lib64}
    for dir in bin sbin lib lib64; do ln -s usr/$dir "$root/$dir"; done
    mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian //p' | head -n 1)
    if [ -z "$mirror" ]; then
        trouble="apt knows no mirror of Debian"
        return 2
    fi
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror%/} $suite main" >"$apt/sources.list"
    : >"$apt/status"
    cat >"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
Dir::State "$apt";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Log "$apt";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Install-Recommends "0";
APT::Sandbox::User "";
CONF
    if ! APT_CONFIG=$apt/apt.conf apt-get -q update >"$apt/log" 2>&1 || grep -q '^[WE]: Failed' "$apt/log"; then
        trouble="apt-get update for Debian $suite: $(grep -m 1 '^[EW]:' "$apt/log")"
        if grep -qE '404|no longer has a Release|does not have a Release' "$apt/log"; then return 2; fi
        return 1
    fi
    if ! APT_CONFIG=$apt/apt.conf apt-get -q install -y --download-only "$@" >"$apt/log" 2>&1; then
        trouble="Debian $suite does not give $*: $(grep -m 1 '^E:' "$apt/log")"
        return 2
    fi
    for deb in "$apt"/cache/archives/*.deb; do
        dpkg-deb -x "$deb" "$root" || { trouble="dpkg-deb -x ${deb##*/}" && return 1; }
    done
    rm -rf "$apt"
    # A library's own RUNPATH would switch off the RPATH of the program and so
    # find the machine's libraries.
    find "$root/usr/lib" -name '*.so*' -type f | while read -r file; do
        case $(readelf -d "$file" 2>/dev/null) in
        *RUNPATH* | *RPATH*) patchelf --remove-rpath "$file" ;;
        esac
    done
}

# own_libraries ROOT PROGRAM…: makes programs use the root's C library.
own_libraries() {
    local root=$1 program loader arch
    arch=$(uname -m)-linux-gnu
    shift
    for program; do
        loader=$(patchelf --print-interpreter "$program") &&
            patchelf --set-interpreter "$root$loader" --force-rpath \
                --set-rpath "$root/usr/lib/$arch:$root/usr/lib/postgresql/18/lib" "$program" || return 1
    done
}

# Each of these unpacks one private root, and fails as own_root does.
install_forky() {
    local root=$1 pg=$1/usr/lib/postgresql/18/bin
    own_root forky "$root" postgresql-18-documentdb redis-server valkey-server || return
    # The package's own script would do this.
    ln -sf postgis-3.control "$root/usr/share/postgresql/18/extension/postgis.control"
    trouble="the programs of Debian forky do not run here"
    own_libraries "$root" "$pg/postgres" "$pg/initdb" "$root/usr/bin/redis-check-rdb" "$root/usr/bin/valkey-check-rdb" || return 2
    { "$pg/postgres" --version && "$root/usr/bin/redis-server" --version && "$root/usr/bin/valkey-server" --version; } >/dev/null || return 2
}
install_sid() {
    local root=$1
    own_root sid "$root" mysql-server-core || own_root sid "$root" mysql-server || return
    trouble="the programs of Debian sid do not run here"
    own_libraries "$root" "$root/usr/sbin/mysqld" || return 2
    "$root/usr/sbin/mysqld" --no-defaults --version >/dev/null || return 2
}

# once SUITE DESCRIPTION NAME…: the private root of a suite, unpacked if it is
# not there yet. The file .complete says that it is whole.
once() {
    local suite=$1 what=$2 root=$debian/$1 status=0
    shift 2
    [ -e "$root/.complete" ] && return
    trouble=
    "install_$suite" "$root" || status=$?
    case $status in
    0) touch "$root/.complete" && return ;;
    2) leave_out "$@" "$trouble" ;;
    *) missing+=("$what: $trouble") ;;
    esac
    rm -rf "$root"
}

# ferretdb_build compiles what speaks MongoDB's protocol. Its sources are
# pinned by go.sum; their hash in the program's name is how a change is seen.
ferretdb_build() {
    local sum program
    sum=$(cat internal/servers/ferretdb/{main.go,go.mod,go.sum} | sha256sum | cut -c 1-16)
    program=$cache/tools/ferretdb-$sum
    if [ ! -x "$program" ]; then
        say "go build internal/servers/ferretdb"
        mkdir -p "$cache/tools"
        (cd internal/servers/ferretdb && CGO_ENABLED=0 go build -trimpath -o "$program.tmp" .) || return 1
        mv "$program.tmp" "$program"
    fi
    mkdir -p "$cache/bin"
    ln -sfn "../tools/ferretdb-$sum" "$cache/bin/pillbox-ferretdb"
}

install_servers() {
    local building=
    rm -rf "$left_out"
    if go_ok; then # beside the unpacking, which waits for the network
        ferretdb_build &
        building=$!
    fi
    if has apt-get && has dpkg-deb && patchelf_ok; then
        once forky "Redis 8, Valkey 9 and PostgreSQL 18 with DocumentDB" redis8 valkey mongodb
        once sid "MySQL 9" mysql
    else
        leave_out redis8 valkey mongodb mysql "they are unpacked from Debian packages, and this machine has no apt-get or no patchelf"
    fi
    if [ -n "$building" ]; then
        wait "$building" || missing+=("FerretDB: go build in internal/servers/ferretdb fails")
    fi
    if ! has moto_server; then
        leave_out dynamodb-moto "moto_server is not on PATH (pip install 'moto[server]==5.2.1')"
    fi
}
