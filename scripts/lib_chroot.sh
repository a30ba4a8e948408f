# Chroots of Debian releases; sourced by check-matrix and packages, which run as root.
#
# Sets cache, the folder in which chroots are kept, and mirror. Ends the script if the kernel does
# not allow private mounts.
# shellcheck shell=bash disable=SC2034,SC2154

cache=${XDG_CACHE_HOME:-$HOME/.cache}/procrastinate_migrate

# The Debian release that ships a version of PostgreSQL.
suite_of() {
    case $1 in
        15) echo bookworm ;;
        17) echo trixie ;;
        18) echo sid ;;
        19) echo experimental ;;
        *) die "no Debian suite for PostgreSQL $1; there are: 15 17 18 19" ;;
    esac
}

unshare --mount --pid --fork true 2> /dev/null ||
    die "this kernel or container does not allow private mounts (unshare)"

# The Debian mirror of this machine, or the default one.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2> /dev/null |
    sed -n 's,^\(deb .*\|URIs:.*\)\(https\?://[^ ]*/debian\)/\?\( .*\)\?$,\2,p' | head -n 1 || true)
mirror=${mirror:-http://deb.debian.org/debian}

# bootstrap SUITE FOLDER [PACKAGE,...]: makes a new chroot: the essential packages, and these.
bootstrap() {
    rm -rf "$2"
    "$root/scripts/dependencies" matrix
    unshare --mount --pid --fork --kill-child debootstrap --variant=minbase \
        --include="ca-certificates,procps${3:+,$3}" "$1" "$2" "$mirror"
}

# connect CHROOT: gives it the machine's name servers, proxies and certificates.
connect() {
    local chroot=$1
    cp -L /etc/resolv.conf "$chroot/etc/resolv.conf"
    mkdir -p "$chroot/etc/apt/apt.conf.d"
    apt-config dump --format '%F "%v";%n' 2> /dev/null |
        grep -E '^Acquire::(https?|ftp|Check-|ForceIPv|Retries)' \
            > "$chroot/etc/apt/apt.conf.d/99host" || true
    if [ -d /usr/local/share/ca-certificates ]; then
        mkdir -p "$chroot/usr/local/share/ca-certificates"
        cp -r /usr/local/share/ca-certificates/. "$chroot/usr/local/share/ca-certificates"
    fi
}

# Process 1 of a chroot's namespace: mounts /proc and /dev, copies the checkout, runs a command.
# Arguments: chroot, checkout, command.
# shellcheck disable=SC2016
inside='
set -eu
cd "$1"
mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs dev
mkdir -p dev/shm dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
find tmp -mindepth 1 -delete
[ -z "${archives:-}" ] || mount --bind "$archives" var/cache/apt/archives
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts || true
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
for device in null zero full random urandom tty; do
    : > "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir -p tmp/source
tar -C "$2" --exclude=./.git --exclude=./build --exclude="*.o" --exclude="*.bc" --exclude="*.d" \
    --exclude="*.so" -cf - . | tar -C tmp/source --no-same-owner -xf -
shift 2
# Not exec: when process 1 ends, the kernel ends all other processes of the namespace.
chroot . /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 CI="${CI:-}" \
    SUITES="${SUITES:-}" TESTS="${TESTS:-}" DEBIAN_FRONTEND=noninteractive "$@"
'
# enter CHROOT COMMAND...: the checkout is in /tmp/source. The variable `archives` names a folder
# that keeps apt's downloads.
enter() {
    local chroot=$1
    shift
    unshare --mount --propagation private --pid --fork --kill-child \
        env archives="${archives:-}" sh -c "$inside" sh "$chroot" "$root" "$@" < /dev/null
}
