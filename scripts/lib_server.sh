# A temporary folder with a private copy of a PostgreSQL server and a throwaway cluster; sourced by
# lib.sh.
# shellcheck shell=bash disable=SC2154

# ---- The work folder -----------------------------------------------------------------------------

# Sets work: a temporary folder that belongs to the server's user. Its name is short because the
# path of a socket has at most 107 bytes.
make_work_folder() {
    local parent=${TMPDIR:-/tmp}
    if is_root && ! drop_root test -x "$parent" -a -w "$parent"; then parent=/tmp; fi
    if [ ${#parent} -gt 40 ]; then parent=/tmp; fi
    work=$(mktemp -d "$parent/$1.XXXXXX")
    chmod 700 "$work"
    own "$work"
}

# The same, and the folder and its servers are gone when the script ends.
use_work_folder() {
    trap remove_work_folder EXIT
    trap 'exit 130' INT TERM HUP
    make_work_folder "$1"
}

# Give files to the server's user.
own() {
    if is_root; then chown -R -h "$server_user:" "$@"; fi
}

# Processes whose working directory is below a folder. A server works in its data directory.
processes_in() {
    local link
    for link in /proc/[0-9]*/cwd; do
        case $(readlink "$link" 2> /dev/null) in "$1"/*) basename "${link%/cwd}" ;; esac
    done
}

# Removes the work folder, and ends all processes that work in it: servers, and interrupted tests.
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

# ---- The stage: a private copy of the server -----------------------------------------------------

# Sets stage and stage_bin. PostgreSQL finds its files relative to its own executable. A copy of
# bin/ (a symbolic link would be followed back) with links to everything else at the same relative
# places is therefore a whole installation, and `make install DESTDIR=$stage` installs into it.
#
# Not extension_destdir, which would do the same: it is a patch of Debian's, and a self-built server
# gets extension_control_path in 18 only. Every cluster of every test would have to set it.
make_stage() {
    stage=$work/stage
    stage_bin=$stage$bindir
    mkdir -p "$stage_bin" "$stage$pkglibdir" "$stage$sharedir" &&
        cp -rL "$bindir/." "$stage_bin" &&
        cp -rs "$pkglibdir/." "$stage$pkglibdir" &&
        cp -rs "$sharedir/." "$stage$sharedir" || return 1
    # The machine may have its own version of the extension installed.
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

# build_into_stage LOG: all three; the end of the log is shown if one of them fails.
build_into_stage() {
    if ! { build_extension && make_stage && install_extension; } > "$1" 2>&1; then
        tail -n 60 "$1"
        say "The build failed; its log: $1"
        return 1
    fi
}

# Copy the checkout, without built files, to where the server's user can read it. Sets tree.
copy_tree() {
    tree=$work/tree
    mkdir -p "$tree"
    tar -C "$root" --exclude=./.git --exclude=./build --exclude='*.o' --exclude='*.bc' \
        --exclude='*.d' --exclude='*.so' --exclude=./src/built_for --exclude=./src/embedded.inc \
        --exclude='./src/sql/*.hpp' -cf - . | tar -C "$tree" --no-same-owner -xf -
    own "$tree"
}

# ---- A throwaway server --------------------------------------------------------------------------

# start_server FOLDER [OPTION...]: makes a cluster in FOLDER and starts it with these options of
# pg_ctl. It listens on a socket in FOLDER only. Superuser: postgres, without a password; only the
# folder's owner and root can reach the socket.
#
# Not pg_virtualenv: that starts Debian's own servers only, not a stage, and listens on TCP.
start_server() {
    local folder=$1
    shift
    mkdir -p "$folder"
    chmod 700 "$folder"
    own "$folder"
    as_server_user initdb -D "$folder/data" -U postgres --auth=trust --encoding=UTF8 \
        --locale=C.UTF-8 --no-sync > "$folder/initdb.log" 2>&1 ||
        { cat "$folder/initdb.log" && die "initdb failed"; }
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

# connect_or_start [CONNECTION]: chooses the server of run_client, which has the extension: that of
# the connection string, or else a throwaway one, for which it builds.
connect_or_start() {
    client_as=()
    connection=${1:-}
    [ $# = 0 ] || return 0
    "$root/scripts/dependencies" build
    require_server
    build_into_stage "$work/build.log"
    own "$work"
    start_server "$work/server"
    client_as=(as_server_user)
    connection="host=$work/server user=postgres dbname=postgres"
}

# run_client ARGUMENT...: psql without decoration.
run_client() { "${client_as[@]}" psql -XqAt -v ON_ERROR_STOP=1 "$@" -d "$connection"; }
