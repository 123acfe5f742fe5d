# shellcheck shell=bash
# For scripts: a scheduler and three workers on the loopback interface, as docs/cluster.md starts them. Needs no root.
#
# PROGRAMS is the program with the examples. The script builds it if it is not set.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
if [ -z "${PROGRAMS:-}" ]; then
    cargo build --manifest-path "$repository/Cargo.toml" -p holdall-ballista-examples --features collections,stores
    PROGRAMS=${CARGO_TARGET_DIR:-$repository/target}/debug/holdall-ballista-examples
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/loopback.XXXXXX")
scheduler=127.0.0.1:$((20000 + RANDOM % 10000))
workers=()
stop() {
    # shellcheck disable=SC2046 # One argument for each process.
    kill -9 $(jobs -p) 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap stop EXIT
fail() { echo "FAILED: $*" >&2; tail -n 30 "$work"/*.log >&2; exit 1; }

# Waits until a command succeeds: eventually SECONDS WHAT COMMAND...
eventually() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ $SECONDS -lt $end ] || fail "$what"
        sleep 0.02
    done
}

# Runs a program on an executor: on EXECUTOR NAME ARGUMENT...
on() {
    local executor=$1 name=$2
    shift 2
    [ -e "$work/$name" ] || ln -s "$PROGRAMS" "$work/$name"
    HOLDALL_EXECUTOR=$executor HOLDALL_SPILL_DIR=$work "$work/$name" "$@"
}

# The body of the answer to a request of the scheduler, without a program that a machine may lack: answer PATH
answer() {
    local connection
    exec {connection}<>"/dev/tcp/${scheduler/://}" || return
    printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&"$connection"
    cat <&"$connection"
    exec {connection}>&-
}
all_are_known() { [ "$(answer /api/executors 2>/dev/null | grep -o '"vcores":' | wc -l)" = 3 ]; }

start_cluster() {
    local n
    HOLDALL_ROLE=scheduler HOLDALL_BIND=$scheduler "$PROGRAMS" >"$work/scheduler.log" 2>&1 &
    for n in 1 2 3; do
        mkdir "$work/worker$n"
        HOLDALL_ROLE=worker HOLDALL_SCHEDULER=$scheduler HOLDALL_SLOTS=1 HOLDALL_SPILL_DIR=$work/worker$n \
            "$PROGRAMS" >"$work/worker$n.log" 2>&1 &
        workers+=($!)
    done
    eventually 60 "the scheduler does not know three workers" all_are_known
}
