#!/usr/bin/env bash
# Compares what programs print on three workers with what they print on one thread. Then kills a worker while a program
# runs, and ends the others, which must leave nothing.
# shellcheck source=on_loopback.sh
source "$(dirname "${BASH_SOURCE[0]}")/on_loopback.sh"

# The same command prints the same on the cluster as on one thread: same NAME ARGUMENT...
same() {
    local expected actual
    expected=$(on inline "$@") || fail "$*: on one thread"
    actual=$(on "ballista://$scheduler" "$@") || fail "$* on the cluster: $actual"
    [ "$actual" = "$expected" ] || fail "$*: printed $actual, and on one thread $expected"
    echo "ok   $*"
}

start_cluster

export IN=$work/text.txt
on inline generate_text --bytes 16M --words 50000 "$IN"
same word_count "$IN"
same bench W1
same random_graphs 20

has_started_a_child() { [ -n "$(cat /proc/"${workers[2]}"/task/*/children)" ]; }

expected=$(on inline bench W1)
on "ballista://$scheduler" bench W1 >"$work/out" 2>"$work/errors.log" &
program=$!
eventually 60 "the third worker runs nothing" has_started_a_child
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
