# Common functions of the scripts in this folder; sourced, never run.
#
# What they share: the choice of a server, a private copy of it ("stage") into which the extension is
# installed, an unprivileged user for the server when we are root, and a throwaway cluster on a socket.
# The machine's own PostgreSQL is read and never written to.
# shellcheck shell=bash

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
extension=procrastinate_migrate
oldest=15

# Nothing of the caller's environment reaches our servers and clients.
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

# Run a command as root, by sudo if need be.
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

# Major versions of the servers installed by Debian's packages, newest first.
installed_majors() {
    local folder major
    for folder in /usr/lib/postgresql/*; do
        major=${folder##*/}
        [[ $major =~ ^[0-9]+$ ]] && [ "$major" -ge $oldest ] && [ -x "$folder/bin/postgres" ] || continue
        echo "$major"
    done | sort -rn
}

# Those among them that have what building takes. The headers are a package of their own.
complete_majors() {
    local major
    for major in $(installed_majors); do
        [ -e "/usr/lib/postgresql/$major/lib/pgxs/src/makefiles/pgxs.mk" ] &&
            [ -e "/usr/include/postgresql/$major/server/postgres.h" ] || continue
        echo "$major"
    done
}

# Sets pg_config: the one asked for by PG_CONFIG, else that of the newest complete Debian
# installation. Leaves it empty when there is none.
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

# The same, and an error when there is none.
require_server() {
    choose_server
    [ -n "$pg_config" ] || die "no PostgreSQL server with its development files found"
    [ -e "$("$pg_config" --includedir-server)/postgres.h" ] ||
        die "the server of $pg_config is there without its headers (Debian: postgresql-server-dev-NN)"
    bindir=$("$pg_config" --bindir)
    pkglibdir=$("$pg_config" --pkglibdir)
    sharedir=$("$pg_config" --sharedir)
    server_version=$("$pg_config" --version | sed 's/^PostgreSQL \([^ ]*\).*/\1/')
    server_major=${server_version%%[!0-9]*}
    [ "$server_major" -ge $oldest ] || die "PostgreSQL $server_version is older than $oldest"
}

# The server's own settings: what it was built with.
server_setting() {
    sed -n "s/^$1[[:space:]]*=[[:space:]]*//p" "$(dirname "$("$pg_config" --pgxs)")/../Makefile.global"
}

# ---- Who runs it ---------------------------------------------------------------------------------

# PostgreSQL refuses to run as root: root hands it to an unprivileged user.
server_user=$(id -un)
if is_root; then
    server_user=nobody
    if id postgres > /dev/null 2>&1; then server_user=postgres; fi
fi

# Run a command as the server's user, in a clean environment; NAME=VALUE may precede the command.
as_server_user() (
    if is_root; then
        # Where we are may be closed to that user.
        case $PWD/ in "$work"/*) ;; *) cd "$work" ;; esac
        setpriv --reuid="$server_user" --regid="$(id -g "$server_user")" --clear-groups --reset-env \
            env HOME="$work" LANG="$LANG" PATH="${stage_bin:-/nonexistent}:/usr/local/bin:/usr/bin:/bin" "$@"
    else
        env PATH="${stage_bin:-/nonexistent}:$PATH" "$@"
    fi
)

# ---- Where it runs -------------------------------------------------------------------------------

# Sets work: a temporary folder that the server's user can enter and write. The name is short, for a
# socket's path ends at 107 bytes.
make_work_folder() {
    local parent=${TMPDIR:-/tmp}
    if is_root && ! setpriv --reuid="$server_user" --regid="$(id -g "$server_user")" --clear-groups \
        test -x "$parent" -a -w "$parent"; then
        parent=/tmp
    fi
    if [ ${#parent} -gt 40 ]; then parent=/tmp; fi
    work=$(mktemp -d "$parent/$1.XXXXXX")
    chmod 700 "$work"
    own "$work"
}

# Give files to the server's user.
own() {
    if is_root; then chown -R -h "$server_user:" "$@"; fi
}

# The processes whose working directory is in a folder: a server's is its data directory.
processes_in() {
    local link
    for link in /proc/[0-9]*/cwd; do
        case $(readlink "$link" 2> /dev/null) in "$1"/*) basename "${link%/cwd}" ;; esac
    done
}

# Removes the work folder, and ends every process at work in it: servers, and tests that were cut off.
remove_work_folder() {
    [ -n "${work:-}" ] && [ -d "$work" ] || return 0
    cd /
    local pids
    for signal in QUIT QUIT KILL; do
        mapfile -t pids < <(processes_in "$work")
        [ ${#pids[@]} != 0 ] || break
        kill -s $signal "${pids[@]}" 2> /dev/null || true
        for _ in $(seq 30); do
            [ -n "$(processes_in "$work")" ] || break
            sleep 0.1
        done
    done
    rm -rf "$work" 2> /dev/null || { sleep 1 && rm -rf "$work"; }
}

# ---- The stage -----------------------------------------------------------------------------------

# PostgreSQL finds its files relative to its own executable. So a copy of bin/ (a symbolic link would
# be followed back), with links to everything else at the same relative places, is a whole
# installation: what `make install DESTDIR=` adds to it, its servers load.
make_stage() {
    stage=$work/stage
    stage_bin=$stage$bindir
    mkdir -p "$stage_bin" "$stage$pkglibdir" "$stage$sharedir" &&
        cp -rL "$bindir/." "$stage_bin" &&
        cp -rs "$pkglibdir/." "$stage$pkglibdir" &&
        cp -rs "$sharedir/." "$stage$sharedir" || return 1
    # A version that the machine has installed for itself is not the one under test.
    find "$stage" -depth -name "$extension*" -exec rm -rf {} +
    local include
    include=$("$pg_config" --includedir-server)
    mkdir -p "$stage$(dirname "$include")"
    ln -sfn "$include" "$stage$include"
    chmod -R go+rX "$stage"
}

# Build in the checkout, and install into the stage. Tests set werror=-Werror.
werror=
build_extension() { make -s -C "$root" -j "$cores" PG_CONFIG="$pg_config" WERROR="$werror" all; }
install_extension() { make -s -C "$root" PG_CONFIG="$pg_config" DESTDIR="$stage" install; }

# Copy the checkout, without what was built, to where the server's user can read it. Sets tree.
copy_tree() {
    tree=$work/tree
    mkdir -p "$tree"
    tar -C "$root" --exclude=./.git --exclude=./build --exclude='*.o' --exclude='*.bc' --exclude='*.d' \
        --exclude='*.so' --exclude=./src/built_for --exclude=./src/embedded.inc --exclude='./src/sql/*.hpp' \
        -cf - . | tar -C "$tree" --no-same-owner -xf -
    own "$tree"
}

# ---- A throwaway server --------------------------------------------------------------------------

# start_server FOLDER [OPTION...]: makes a cluster in FOLDER and starts it, on a socket in FOLDER and no
# TCP; with options of pg_ctl's. Superuser: postgres, trusted; only the folder's owner (and root) can
# reach the socket.
start_server() {
    local folder=$1
    shift
    mkdir -p "$folder"
    chmod 700 "$folder"
    own "$folder"
    as_server_user initdb -D "$folder/data" -U postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
        --no-sync > "$folder/initdb.log" 2>&1 || { cat "$folder/initdb.log" && die "initdb failed"; }
    as_server_user tee -a "$folder/data/postgresql.conf" > /dev/null << CONFIGURATION
listen_addresses = ''
unix_socket_directories = '$folder'
fsync = off
max_connections = 60
log_line_prefix = '%m [%p] %u@%d '
CONFIGURATION
    as_server_user pg_ctl -D "$folder/data" -l "$folder/server.log" -w -t 60 "$@" start \
        > "$folder/start.log" 2>&1 ||
        { cat "$folder/start.log" "$folder/server.log" && die "the server did not start"; }
}

stop_server() { as_server_user pg_ctl -D "$1/data" -m immediate -w stop > /dev/null 2>&1 || true; }

# ---- What ran, and how it went -------------------------------------------------------------------

passed=0
failed=0
table=()
tests=${TESTS:-}
logs= # a folder; for the script to say

# record SUITE PASSED FAILED SECONDS: a suite that ran nothing has failed.
record() {
    local note=
    if [ $(($2 + $3)) = 0 ]; then
        note='   nothing ran'
        set -- "$1" 0 1 "$4"
    fi
    passed=$((passed + $2))
    failed=$((failed + $3))
    table+=("$(printf '  %-10s %6d passed %4d failed %5d s%s' "$1" "$2" "$3" "$4" "$note")")
}

# conclude TITLE: what was recorded, and the line that counts it; its status is the script's.
conclude() {
    heading "$1"
    printf '%s\n' "${table[@]}"
    if [ $failed != 0 ]; then say "Logs: $logs"; fi
    say
    say "$passed passed, $failed failed"
    [ $failed = 0 ] && [ $passed != 0 ]
}

# The tests among TESTS, or the default, whose names end in $2; as paths in the checkout.
select_tests() {
    local pattern
    for pattern in ${tests:-$1}; do
        case $pattern in *"$2") (cd "$root" && compgen -G "$pattern") || true ;; esac
    done | sort -u
}

# The suites that TESTS belong to.
suites_of_tests() {
    local found=
    case " $tests" in *.sql*) found+=' regress' ;; esac
    case " $tests" in *.spec*) found+=' isolation' ;; esac
    case " $tests" in *test/t/*) found+=' tap' ;; esac
    case " $tests" in *test/faults/*) found+=' faults' ;; esac
    [ -n "$found" ] || die "TESTS: test/t/*.pl, test/faults/*.pl, sql/*.sql or test/isolation/specs/*.spec, not $tests"
    echo "$found"
}

# number SED-SCRIPT FILE [ELSE]: the last number it prints.
number() {
    local found
    found=$(sed -n "$1" "$2" 2> /dev/null | tail -n 1)
    echo "${found:-${3:-0}}"
}

# ---- The suites that need a server: each sets good and bad, how many tests passed and failed -----

need_server() {
    if [ ! -d "$work/server" ]; then start_server "$work/server"; fi
}

# One of pg_regress's two programs against the throwaway server.
# pg_regress SUITE PROGRAM INPUT TEST...
pg_regress() {
    local suite=$1 program=$2 input=$3
    shift 3
    good=0 bad=0
    [ $# != 0 ] || return 0
    need_server
    mkdir -p "$work/$suite"
    own "$work/$suite"
    as_server_user "$(dirname "$("$pg_config" --pgxs)")/../test/$program" --bindir="$stage_bin" \
        --inputdir="$input" --outputdir="$work/$suite" --host="$work/server" --user=postgres \
        --dbname="$suite" "$@" > "$logs/$suite.log" 2>&1 || true
    good=$(number 's/.*All \([0-9]*\) tests passed.*/\1/p' "$logs/$suite.log")
    bad=$(number 's/.*[^0-9]\([0-9]*\) of [0-9]* tests failed.*/\1/p' "$logs/$suite.log")
    if [ "$bad" != 0 ]; then
        good=$(($(number 's/.*[^0-9][0-9]* of \([0-9]*\) tests failed.*/\1/p' "$logs/$suite.log") - bad))
    elif [ "$good" = 0 ]; then
        bad=1
    fi
    if [ "$bad" != 0 ]; then
        tail -n 30 "$logs/$suite.log"
        if [ -s "$work/$suite/regression.diffs" ]; then
            cp "$work/$suite/regression.diffs" "$logs/$suite.diffs"
            head -n 200 "$logs/$suite.diffs"
            say "All differences: $logs/$suite.diffs; results: $logs/$suite"
        fi
        rm -rf "${logs:?}/$suite"
        cp -r "$work/$suite/results" "$logs/$suite" 2> /dev/null || true
    fi
}

# test_regress [NAME]
test_regress() {
    local names
    # install comes first: it makes the extension that the others find.
    mapfile -t names < <(select_tests 'sql/*.sql' .sql | sed 's,.*/,,; s,\.sql$,,' |
        awk '$0 == "install" { print } $0 != "install" { rest = rest $0 "\n" } END { printf "%s", rest }')
    pg_regress "${1:-regress}" regress/pg_regress "$tree" "${names[@]}"
}

test_isolation() {
    local names
    mapfile -t names < <(select_tests 'test/isolation/specs/*.spec' .spec | sed 's,.*/,,; s,\.spec$,,')
    pg_regress isolation isolation/pg_isolation_regress "$tree/test/isolation" "${names[@]}"
}

# test_tap [SUITE]: tap, those of test/t; or those of the folder that is called like the suite.
test_tap() {
    local files pgxs suite=${1:-tap} folder=${1:-t}
    good=0 bad=0
    mapfile -t files < <(select_tests "test/$folder/*.pl" .pl | grep "^test/$folder/")
    [ ${#files[@]} != 0 ] || return 0
    pgxs=$(dirname "$("$pg_config" --pgxs)")/..
    mkdir -p "$work/$suite/log"
    own "$work/$suite"
    # From 17 on, clusters are copied from a template instead of being made one by one.
    as_server_user initdb -D "$work/$suite/template" --auth=trust --no-sync \
        > "$logs/$suite-template.log" 2>&1 || true
    (
        cd "$tree"
        as_server_user TMPDIR="$work" TESTDIR="$work/$suite" TESTDATADIR="$work/$suite/tmp_check" \
            TESTLOGDIR="$work/$suite/log" PG_TEST_PORT_DIR="$work/$suite" INITDB_TEMPLATE="$work/$suite/template" \
            PG_REGRESS="$pgxs/test/regress/pg_regress" PERL5LIB="$pgxs/test/perl:$tree/test/perl" \
            perl scripts/tap "${JOBS:-$cores}" "${files[@]}"
    ) 2>&1 | tee "$logs/$suite.log" || true
    good=$(number 's/^tap: \([0-9]*\) passed.*/\1/p' "$logs/$suite.log")
    bad=$(number 's/^tap: .* \([0-9]*\) failed$/\1/p' "$logs/$suite.log" 1)
    if [ "$bad" != 0 ]; then
        rm -rf "${logs:?}/$suite"
        mkdir -p "$logs/$suite"
        find "$work/$suite" -name '*.log' -exec cp {} "$logs/$suite" \; 2> /dev/null || true
        cp "$work/$suite"/tmp_check/log/* "$work/$suite"/log/* "$logs/$suite" 2> /dev/null || true
        say "Logs of the tests and their servers: $logs/$suite"
    fi
}
