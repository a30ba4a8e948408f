# Functions that all scripts in this folder share; sourced, never run.
#
# This file: messages, root, the choice of a PostgreSQL server, and the user who runs it.
# lib_server.sh: a private copy of the server, and a throwaway cluster. The machine's own PostgreSQL
# is read and never written to.
# lib_suites.sh: test suites and the count of their results.
# shellcheck shell=bash

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
extension=procrastinate_migrate
oldest=15

# The caller's settings must not reach our servers and clients.
wanted_pg_config=${PG_CONFIG:-}
while read -r variable; do
    unset "$variable"
done < <(compgen -e | grep '^PG' || true)
unset LC_ALL LC_MESSAGES LC_COLLATE LC_CTYPE LANGUAGE MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES
export LANG=C.UTF-8

cores=$(nproc 2>/dev/null || echo 2)

say() { printf '%s\n' "$*"; }
heading() { printf '\n== %s\n' "$*"; }
die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

is_root() { [ "$(id -u)" = 0 ]; }

# Run a command as root, with sudo if necessary.
as_root() {
    if is_root; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        die "this needs root, and there is no sudo: $*"
    fi
}

# ---- Which server --------------------------------------------------------------------------------

# Major versions of the servers that Debian's packages have installed, newest first.
installed_majors() {
    local folder major
    for folder in /usr/lib/postgresql/*; do
        major=${folder##*/}
        [[ $major =~ ^[0-9]+$ ]] && [ "$major" -ge $oldest ] &&
            [ -x "$folder/bin/postgres" ] || continue
        echo "$major"
    done | sort -rn
}

# The same, but only those with PGXS and headers, which are in a package of their own.
complete_majors() {
    local major
    for major in $(installed_majors); do
        [ -e "/usr/lib/postgresql/$major/lib/pgxs/src/makefiles/pgxs.mk" ] &&
            [ -e "/usr/include/postgresql/$major/server/postgres.h" ] || continue
        echo "$major"
    done
}

# Sets pg_config: PG_CONFIG if that is set, else the pg_config of the newest complete Debian server.
# Empty if there is none.
choose_server() {
    local major
    pg_config=$wanted_pg_config
    if [ -n "$pg_config" ]; then
        pg_config=$(command -v "$pg_config") || die "no such program: $wanted_pg_config"
        return
    fi
    major=$(complete_majors | head -n 1)
    [ -z "$major" ] || pg_config=/usr/lib/postgresql/$major/bin/pg_config
}

# The same, and an error if there is none. Also sets the server's folders, version and user.
require_server() {
    choose_server
    [ -n "$pg_config" ] || die "no PostgreSQL server with its development files found"
    [ -e "$("$pg_config" --includedir-server)/postgres.h" ] ||
        die "the server of $pg_config has no headers (Debian: postgresql-server-dev-NN)"
    bindir=$("$pg_config" --bindir)
    pkglibdir=$("$pg_config" --pkglibdir)
    sharedir=$("$pg_config" --sharedir)
    server_version=$("$pg_config" --version | sed 's/^PostgreSQL \([^ ]*\).*/\1/')
    server_major=${server_version%%[!0-9]*}
    [ "$server_major" -ge $oldest ] || die "PostgreSQL $server_version is older than $oldest"
    choose_server_user # the server's package may just have brought the user
}

# A variable of the server's Makefile.global: how it was built.
server_setting() {
    sed -n "s/^$1[[:space:]]*=[[:space:]]*//p" \
        "$(dirname "$("$pg_config" --pgxs)")/../Makefile.global"
}

# ---- Who runs it ---------------------------------------------------------------------------------

# Sets server_user. PostgreSQL does not run as root, so root runs it as an unprivileged user.
choose_server_user() {
    server_user=$(id -un)
    if is_root; then
        server_user=nobody
        if id postgres > /dev/null 2>&1; then server_user=postgres; fi
    fi
}
choose_server_user

# Run a command as the server's user. Only for root.
drop_root() {
    setpriv --reuid="$server_user" --regid="$(id -g "$server_user")" --clear-groups "$@"
}

# Run a command as the server's user in a clean environment. NAME=VALUE may precede the command.
as_server_user() (
    if is_root; then
        # The server's user may have no access to the current folder.
        case $PWD/ in "$work"/*) ;; *) cd "$work" ;; esac
        drop_root --reset-env env HOME="$work" LANG="$LANG" \
            PATH="${stage_bin:-/nonexistent}:/usr/local/bin:/usr/bin:/bin" "$@"
    else
        env PATH="${stage_bin:-/nonexistent}:$PATH" "$@"
    fi
)

# shellcheck source=scripts/lib_server.sh
. "$root/scripts/lib_server.sh"
# shellcheck source=scripts/lib_suites.sh
. "$root/scripts/lib_suites.sh"
