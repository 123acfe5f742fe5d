#!/usr/bin/env bash
# Starts a scheduler and three workers on the loopback interface, as docs/cluster.md does, and compares what programs print
# on them with what they print on one thread. Then kills a worker while a program runs, and ends the others, which must
# leave nothing. Needs no root.
#
# PROGRAMS is the program with the examples. If it is not set, it is built.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
if [ -z "${PROGRAMS:-}" ]; then
    cargo build --manifest-path "$repository/Cargo.toml" -p holdall-ballista-examples
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
fail() { echo "FAILED: $*" >&2; cat "$work"/*.log >&2; exit 1; }

for name in bench generate_text random_graphs word_count; do ln -s "$PROGRAMS" "$work/$name"; done

# Runs a program on an executor: on EXECUTOR NAME ARGUMENT...
on() {
    local executor=$1 name=$2
    shift 2
    HOLDALL_EXECUTOR=$executor HOLDALL_SPILL_DIR=$work "$work/$name" "$@"
}

# The same command prints the same on the cluster as on one thread: same NAME ARGUMENT...
same() {
    local expected actual
    expected=$(on inline "$@") || fail "$*: on one thread"
    actual=$(on "ballista://$scheduler" "$@") || fail "$* on the cluster: $actual"
    [ "$actual" = "$expected" ] || fail "$*: printed $actual, and on one thread $expected"
    echo "ok   $*"
}

known_workers() { curl -sf --max-time 5 "http://$scheduler/api/executors" | grep -o '"vcores":' | wc -l; }

wait_for_workers() {
    for _ in $(seq 600); do
        [ "$(known_workers || true)" != 3 ] || return 0
        sleep 0.1
    done
    fail "the scheduler does not know three workers"
}

HOLDALL_ROLE=scheduler HOLDALL_BIND=$scheduler "$PROGRAMS" >"$work/scheduler.log" 2>&1 &
for n in 1 2 3; do
    mkdir "$work/worker$n"
    HOLDALL_ROLE=worker HOLDALL_SCHEDULER=$scheduler HOLDALL_SLOTS=1 HOLDALL_SPILL_DIR=$work/worker$n \
        "$PROGRAMS" >"$work/worker$n.log" 2>&1 &
    workers+=($!)
done
wait_for_workers

export IN=$work/text.txt
on inline generate_text --bytes 16M --words 50000 "$IN"
same word_count "$IN"
same bench W1
same random_graphs 20

expected=$(on inline bench W1)
on "ballista://$scheduler" bench W1 >"$work/out" 2>"$work/errors.log" &
program=$!
for _ in $(seq 6000); do
    [ -z "$(cat /proc/"${workers[2]}"/task/*/children)" ] || break
    sleep 0.01
done
kill -0 $program || fail "bench W1 ended before a worker was killed"
kill -9 "${workers[2]}"
wait $program || fail "bench W1 after the loss of a worker"
[ "$(cat "$work/out")" = "$expected" ] || fail "bench W1 after the loss of a worker: a wrong answer"
echo "ok   a worker that is killed"

kill -TERM "${workers[0]}" "${workers[1]}"
wait "${workers[0]}" "${workers[1]}" || fail "a worker that was told to end: status $?"
left=$(find "$work/worker1" "$work/worker2" -mindepth 1)
[ -z "$left" ] || fail "workers that have ended left $left"
echo "ok   workers that are told to end"
