#!/usr/bin/env bash
# Compares a cluster on this machine with worker processes, on the same number of cores: speed.sh [ROUNDS]
#
# The executors run in turns, and each figure is a ratio or a median within this run. The program is optimised, except for
# most of its dependencies, because these would take half an hour. Then kills one of three workers, and shows that only its
# tasks run again. Fails if an answer is wrong, or if other tasks run again.
set -euo pipefail
rounds=${1:-5}
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
if [ -z "${PROGRAMS:-}" ]; then
    optimised=()
    for package in holdall holdall-ballista holdall-ballista-examples bincode ring rustls tokio-rustls; do
        optimised+=(--config "profile.dev.package.$package.opt-level=3")
    done
    cargo build --manifest-path "$repository/Cargo.toml" -p holdall-ballista-examples "${optimised[@]}"
    PROGRAMS=${CARGO_TARGET_DIR:-$repository/target}/debug/holdall-ballista-examples
fi
SLOTS=1
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

text=$work/text.txt left=$work/left.csv right=$work/right.csv
on inline generate_text --bytes "${TEXT_SIZE:-1G}" --words 500000 "$text"
awk 'BEGIN { for (n = 0; n < 20000000; n++) print n * 7919 % 5000021 "," n }' >"$left"
awk 'BEGIN { for (n = 0; n < 5000000; n++) print n * 104729 % 6000011 "," n }' >"$right"
export IN2=$right OUT_DIR=$work/sorted

median() { sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }

# Prints the seconds that workload W takes: seconds EXECUTOR W
seconds() {
    local in=$text begin=$EPOCHREALTIME
    [ "$2" != W5 ] || in=$left
    IN=$in on "$1" bench "$2" >"$work/answer.${1%%:*}" 2>"$work/errors" || fail "$2: $(cat "$work/errors")"
    awk -v begin="$begin" -v end="$EPOCHREALTIME" 'BEGIN { print end - begin }'
    rm -rf "$OUT_DIR"
}

compare() {
    local w=$1
    : >"$work/$w.processes"
    : >"$work/$w.ballista"
    for _ in $(seq "$rounds"); do
        seconds processes:2 "$w" >>"$work/$w.processes"
        seconds "$cluster" "$w" >>"$work/$w.ballista"
        cmp "$work/answer.processes" "$work/answer.ballista" || fail "$w: a wrong answer"
    done
    local processes ballista
    processes=$(median <"$work/$w.processes") ballista=$(median <"$work/$w.ballista")
    awk -v w="$w: $2" -v p="$processes" -v b="$ballista" \
        'BEGIN { printf "%s: %.2f of the time of processes:2 (%.2f s and %.2f s)\n", w, b / p, b, p }'
}

per_task() { N=10000 on "$1" bench W8 2>&1 >/dev/null | awk '/us_per_task/ { print $2 }'; }

start_cluster
all=$cluster
cluster="$cluster?slots=2"
compare W1 "words counted"
compare W5 "a join"
compare W3 "a sort, which shuffles all of its input"
for _ in $(seq "$rounds"); do
    per_task processes:2 >>"$work/tasks.processes"
    per_task "$cluster" >>"$work/tasks.ballista"
done
echo "an empty task of 10,000: $(median <"$work/tasks.ballista") us, in processes:2 $(median <"$work/tasks.processes") us"
echo "a job that requests a slot and starts a worker for it: $(on "$cluster" lease_time 2>&1) ms"

# In the middle of the job, a machine is lost.
HOLDALL_TRACE=$work/trace HOLDALL_SUMMARY=1 IN=$text on "$all" bench W1 >"$work/answer.loss" 2>"$work/errors" &
program=$!
sleep "$(awk '{ print $1 / 2 }' <(median <"$work/W1.processes"))"
kill_worker 3
wait $program || fail "W1: $(cat "$work/errors")"
IN=$text on processes:2 bench W1 | cmp - "$work/answer.loss" || fail "W1: a wrong answer"
cat "$work/errors"
python3 - "$work/trace" "$work/errors" "$net.4" <<'PYTHON'
import json, re, sys
from collections import Counter

trace, errors, host = sys.argv[1:]
lost = set(map(int, re.findall(rf"worker (\d+) at {re.escape(host)}:\d+ is lost", open(errors).read())))
done, there = Counter(), Counter()
for event in json.load(open(trace)):
    if event.get("cat") == "tasks":
        stage, tasks = int(event["name"].rsplit(" ", 1)[1]), event["args"]["tasks"]
        done[stage] += tasks
        if event["tid"] - 1_000_000 in lost:
            there[stage] += tasks
partitions = next(event["args"]["tasks"] for event in json.load(open(trace)) if event.get("cat") == "stage")
again = done[1] - partitions
print(f"of {partitions} map tasks, the lost machine had done {there[1]}; {again} ran again")
if not 0 < again <= there[1]:
    sys.exit("FAILED: other tasks than those of the lost machine ran again")
PYTHON
