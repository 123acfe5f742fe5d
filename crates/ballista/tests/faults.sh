#!/usr/bin/env bash
# Faults of machines, networks and programs, one after the other: a worker that is stopped, a cut network, a scheduler that
# is killed, all workers killed, a worker that is told to end, a full disk, a record that aborts its process, another build
# of the program, and ports that others could reach. TEXT_SIZE is the size of the input: an optimised program needs some
# hundred MiB, or it ends before the fault.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

text=$work/text.txt
on inline generate_text --bytes "${TEXT_SIZE:-24M}" --words 50000 "$text"
export IN=$text
expected=$(on inline bench W1)
start_cluster
# The default of 10 s would only make this longer.
quick="$cluster?patience=3"

# Starts the program, and waits until it has workers on machine N.
start_program() {
    on "$quick" bench W1 >"$work/out" 2>"$work/errors" &
    program=$!
    eventually 60 "the program has no workers" has_processes "$1"
}

answer_is_right() {
    wait $program || fail "$1: $(cat "$work/errors")"
    [ "$(cat "$work/out")" = "$expected" ] || fail "$1: a wrong answer"
    say "ok   $1"
}

machine_is_lost() { grep -q "the machine at $net.$(($1 + 1)):.* is lost" "$work/errors" || fail "machine $1 is not lost"; }

# Starts a scheduler that knows only workers that live.
restart_scheduler() {
    start_scheduler
    eventually 60 "the workers do not return" all_are_known
}

has_ended() { ! kill -0 "$1" 2>/dev/null; }

# Runs a program that must fail with a message: refused WHAT MESSAGE COMMAND...
refused() {
    local what=$1 message=$2
    shift 2
    ! timeout 120 "$@" >"$work/out" 2>"$work/errors" || fail "$what: no error"
    grep -qE "$message" "$work/errors" || fail "$what: $(cat "$work/errors")"
    say "ok   $what: $(grep -oE -m1 "$message" "$work/errors")"
}

start_program 1
read -ra pids <<<"${worker_pids[1]} $(processes_of 1 | tr '\n' ' ')"
kill -STOP "${pids[@]}"
answer_is_right "a worker that is stopped"
machine_is_lost 1
kill -CONT "${pids[@]}"
eventually 30 "a worker that was stopped keeps something" is_clean 1

start_program 2
ip link set "hb$id.2" down
answer_is_right "a cut network"
machine_is_lost 2
ip link set "hb$id.2" up
eventually 60 "a worker whose network was cut keeps something" is_clean 2

start_program 3
kill_scheduler
answer_is_right "a scheduler that is killed"
restart_scheduler
start_program 3
answer_is_right "slots of a scheduler that has been restarted"

start_program 1
for n in $(seq "$workers"); do kill_worker "$n"; done
for n in $(seq "$workers"); do start_worker "$n"; done
answer_is_right "all workers killed, and others started"

start_program 1
pid=${worker_pids[1]}
kill -TERM "$pid"
answer_is_right "a worker that is told to end"
eventually 30 "a worker that is told to end goes on" has_ended "$pid"

SIZE=64k start_worker 1
kill_scheduler
restart_scheduler
# All tasks run on the full disk.
for n in 2 3; do kill_worker "$n"; done
refused "a full disk" "No space left on device.*" env HOLDALL_EXECUTOR="$quick" "$work/bin/bench" W1

kill_worker 1
for n in $(seq "$workers"); do start_worker "$n"; done
kill_scheduler
restart_scheduler
eventually 60 "something of the programs is left" all_are_clean
refused "a record that aborts" "a task failed 4 times.*" env HOLDALL_EXECUTOR="$quick" "$work/bin/aborting_record"
eventually 60 "something of the programs is left" all_are_clean
start_program 1
answer_is_right "the machines after a record that aborts"

mkdir "$work/other"
cp "$PROGRAMS" "$work/other/bench"
printf x >>"$work/other/bench"
refused "another build" "runs another build of the program" env HOLDALL_EXECUTOR="$quick" "$work/other/bench" W1

for bind in scheduler=0.0.0.0:0 worker=0.0.0.0; do
    refused "${bind%%=*} without a token" "can be reached from other machines: set HOLDALL_TOKEN_FILE" \
        env -u HOLDALL_TOKEN_FILE HOLDALL_ROLE="${bind%%=*}" HOLDALL_BIND="${bind#*=}" "$PROGRAMS"
done
say "all faults have the outcome that they should have"
