#!/usr/bin/env bash
# Runs all examples and workloads on a cluster of three workers that share nothing but the input, and compares their
# output with that of one thread.
#
#   cluster.sh                     with the scheduler of holdall-ballista
#   cluster.sh --stock-scheduler   with the unmodified scheduler of Ballista 55
#   cluster.sh --two-programs      two programs share the slots, and one of them is killed
set -euo pipefail
mode=${1:-}
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "$mode" = --stock-scheduler ]; then
    STOCK_SCHEDULER=$(command -v ballista-scheduler || true)
    if [ -z "$STOCK_SCHEDULER" ]; then
        # Not optimised, because it does little.
        stock=${CARGO_TARGET_DIR:-$repository/target}/stock
        cargo install --quiet --locked --debug --root "$stock" --target-dir "$stock" ballista-scheduler@55.0.0
        STOCK_SCHEDULER=$stock/bin/ballista-scheduler
    fi
fi

# The same command prints and writes the same on the cluster as on one thread: same NAME ARGUMENT...
same() {
    rm -rf "$work/out" "$work/expected"
    export OUT_DIR=$work/out
    local expected actual
    expected=$(on inline "$@") || fail "$*: on one thread"
    [ ! -e "$work/out" ] || mv "$work/out" "$work/expected"
    actual=$(on "$cluster" "$@" 2>"$work/errors") || fail "$* on the cluster: $actual $(cat "$work/errors")"
    [ "$actual" = "$expected" ] || fail "$*: printed $actual, and on one thread $expected"
    [ ! -e "$work/expected" ] || diff -r "$work/expected" "$work/out" >&2 || fail "$*: other files"
    say "ok   $*"
}

# Input of the workloads, on a path that all share.
text=$work/text.txt left=$work/left.csv right=$work/right.csv
make_input() {
    on inline generate_text --bytes "${TEXT_SIZE:-4M}" --words 50000 "$text"
    awk 'BEGIN { for (n = 0; n < 200000; n++) print n * 7919 % 50021 "," n }' >"$left"
    awk 'BEGIN { for (n = 0; n < 20000; n++) print n * 104729 % 60013 "," n }' >"$right"
}

workloads() {
    IN=$text same bench W1
    IN=$text same bench W3
    IN=$left same bench W4
    IN=$left IN2=$right same bench W5
}

examples() {
    same word_count
    same word_count --out "$work/out" "$text"
    same grep_count the "$text"
    same graph
    same random_graphs "${GRAPHS:-200}"
    printf '%s\n' 'a 1 b c' 'b 20 c' 'c 300' >"$work/packages.txt"
    same dependencies "$work/packages.txt" a b
    same sum_range 100000
    same sum_by_key "$left"
    local kind name
    for kind in inner left right full semi anti; do
        same join_files --kind "$kind" "$left" "$right"
    done
    same sort_lines --out "$work/out" "$text"
    for name in inverted_index k_means log_analysis near_duplicates page_rank sessions tf_idf top_per_group triangles; do
        same "$name"
    done
    same arrays
    same search
    IN=$left same frames
    IN=$left same shown_jobs
    # What these print is a time and an address.
    on "$cluster" empty_tasks 1000 >/dev/null || fail empty_tasks
    on "$cluster" status_page --executor "$cluster?slots=2" --address 127.0.0.1:0 --wait 0 >/dev/null || fail status_page
    say "ok   empty_tasks, status_page"
}

two_programs() {
    # Two programs at the same time.
    HOLDALL_EXECUTOR=$cluster IN=$text "$work/bin/bench" W1 >"$work/first" &
    local first=$! second
    IN=$text same bench W1
    wait $first || fail "the first program"
    cmp "$work/first" <(IN=$text on inline bench W1) || fail "the first program: other output"
    # A program that would run for hours holds all slots until it is killed.
    HOLDALL_EXECUTOR=$cluster "$work/bin/sum_range" 1000000000000000 >/dev/null 2>&1 &
    first=$!
    eventually 60 "the first program has no slots" has_processes 1
    same sum_range 1000 &
    second=$!
    sleep 2
    kill -0 $second || fail "the second program did not wait for slots"
    kill -9 $first
    wait $second || fail "the second program"
    wait $first 2>/dev/null || true
}

start_cluster
make_input
if [ "$mode" = --two-programs ]; then
    two_programs
else
    workloads
    examples
fi
eventually 5 "something of programs that have ended is left" all_are_clean
say "all answers are those of one thread"
