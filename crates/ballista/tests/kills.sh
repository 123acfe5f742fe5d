#!/usr/bin/env bash
# Kills random processes of a cluster while programs run: kills.sh N
#
# Each answer must be that of one thread. SEED determines the processes. Counts the kills that cost a running task or map
# output, by the trace of the program. Fails if these are less than 70 %, if an answer is wrong, if a program hangs, or if
# anything is left one second after a program is killed.
set -euo pipefail
kills=${1:?how many kills}
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
RANDOM=${SEED:-1}

text=$work/text.txt left=$work/left.csv right=$work/right.csv
on inline generate_text --bytes "${TEXT_SIZE:-24M}" --words 50000 "$text"
awk 'BEGIN { for (n = 0; n < 1500000; n++) print n * 7919 % 500021 "," n }' >"$left"
awk 'BEGIN { for (n = 0; n < 300000; n++) print n * 104729 % 600011 "," n }' >"$right"
export IN2=$right

# Runs a workload on an executor, and writes its answer: work_on EXECUTOR W OUT
work_on() {
    local in=$text
    [ "$2" != W5 ] || in=$left
    IN=$in OUT_DIR=$3.dir on "$1" bench "$2" >"$3" && { [ ! -d "$3.dir" ] || cat "$3.dir"/part-* >>"$3"; }
    rm -rf "$3.dir"
}

microseconds() { echo $(($(date +%s%N) / 1000)); }

# Number of kills, at these moments, after which the program lost a task or made output again: costly MOMENT...
costly() {
    sed -n '/"cat":"failure"/s/.*"ts":\([0-9]*\).*/\1/p' "$work/trace" | awk -v moments="$*" '
        BEGIN { kills = split(moments, at) }
        { for (k = kills; k > 0; k--) if ($1 > at[k] - 100000) { hit[k]; break } }
        END { for (k in hit) hits++; print hits + 0 }'
}

# Kills a random process of the cluster, and sets `what`. Machines that do not work are left alone.
kill_one() {
    local n pids working=()
    for n in $(seq "$workers"); do ! has_processes "$n" || working+=("$n"); done
    [ ${#working[@]} -gt 0 ] || return 1
    n=${working[RANDOM % ${#working[@]}]}
    case $((RANDOM % 8)) in
    0 | 1 | 2 | 3)
        what="machine $n"
        kill_worker $n
        start_worker $n
        ;;
    4 | 5 | 6)
        read -ra pids <<<"$(processes_of $n | tr '\n' ' ')"
        [ ${#pids[@]} -gt 0 ] || return 1
        what="a worker process on machine $n"
        kill -9 "${pids[RANDOM % ${#pids[@]}]}" 2>/dev/null || return 1
        ;;
    *)
        what="the scheduler"
        kill_scheduler
        start_scheduler
        ;;
    esac
}

for w in W1 W3 W5; do work_on inline $w "$work/$w"; done
start_cluster

done=0 hits=0 runs=0 wrong=0
while [ $done -lt "$kills" ]; do
    w=W$((1 + 2 * (RANDOM % 3)))
    runs=$((runs + 1))
    rm -f "$work/trace"
    HOLDALL_TRACE=$work/trace work_on "$cluster" $w "$work/out" 2>"$work/errors" &
    program=$!
    eventually 60 "$w does not start: $(cat "$work/errors")" test -e "$work/trace"
    begun=$(microseconds) moments=() whats=()
    # A fourth kill might end a job, if all of them hit the same task.
    for _ in 1 2 3; do
        sleep "$((RANDOM % 2)).$((RANDOM % 10))"
        { [ $done -lt "$kills" ] && kill -0 $program 2>/dev/null; } || break
        moment=$(($(microseconds) - begun))
        kill_one || continue
        done=$((done + 1)) moments+=("$moment") whats+=("$what")
        sleep 1
    done
    for _ in $(seq 3000); do
        kill -0 $program 2>/dev/null || break
        sleep 0.1
    done
    ! kill -0 $program 2>/dev/null || fail "$w hangs"
    wait $program || true
    if ! cmp "$work/out" "$work/$w" >&2; then
        wrong=$((wrong + 1))
        cat "$work/errors" >&2
    fi
    cost=$(costly "${moments[@]}")
    hits=$((hits + cost))
    say "run $runs, $w: ${#moments[@]} kills ($(IFS=,; echo "${whats[*]}")), $cost of them cost work"
done

# The death of the driver leaves nothing.
for _ in 1 2 3; do
    eventually 60 "something of earlier programs is left" all_are_clean
    # It would run for hours.
    HOLDALL_EXECUTOR=$cluster "$work/bin/sum_range" 1000000000000000 >/dev/null 2>&1 &
    program=$!
    eventually 120 "the program has no workers" has_processes 1
    sleep "0.$((RANDOM % 10))"
    kill -9 $program
    sleep 1
    for n in $(seq "$workers"); do
        is_clean "$n" || fail "something is left on worker $n one second after the program was killed"
    done
    wait $program 2>/dev/null || true
done
say "$done kills in $runs runs, $hits of them cost work, $wrong wrong answers; nothing is left of killed programs"
[ $wrong = 0 ] && [ $((hits * 10)) -ge $((done * 7)) ]
