#!/usr/bin/env bash
# Map outputs of a cluster in a bucket: starts an S3 server, and compares what programs print on three workers with what
# they print on one thread. Then kills a worker while a program runs, which must cost no map task that was done, and the
# program itself, whose objects the workers must remove.
# shellcheck source=on_loopback.sh
source "$(dirname "${BASH_SOURCE[0]}")/on_loopback.sh"

# The cache is that of ci/stores.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/holdall-stores"
if [ ! -e "$cache/python/done" ]; then
    python3 -c 'import ensurepip' 2>/dev/null || { apt-get update -qq && apt-get install -qqy python3-venv >/dev/null; }
    python3 -m venv "$cache/python"
    "$cache/python/bin/pip" install -q 'moto[server]==5.*' 'boto3==1.*' 'azure-storage-blob==12.*'
    touch "$cache/python/done"
fi

s3=127.0.0.1:$((10000 + RANDOM % 10000))

# Number of objects in the bucket.
objects() { curl -sf --max-time 10 "http://$s3/holdall?list-type=2" | grep -o '<Key>' | wc -l; }
has_objects() { [ "$(objects)" -ge "$1" ]; }
is_empty() { [ "$(objects)" = 0 ]; }

# Number of uploads so far.
uploads() { grep -c 'POST /holdall/maps/.*uploadId=' "$work/s3.log" || true; }

# The same command prints and writes the same on the cluster as on one thread: same NAME ARGUMENT...
same() {
    local expected actual before
    rm -rf "$OUT_DIR" "$work/expected"
    expected=$(on inline "$@") || fail "$*: on one thread"
    [ ! -e "$OUT_DIR" ] || mv "$OUT_DIR" "$work/expected"
    before=$(uploads)
    actual=$(on "ballista://$scheduler" "$@" 2>"$work/errors.log") || fail "$* on the cluster: $actual"
    [ "$actual" = "$expected" ] || fail "$*: printed $actual, and on one thread $expected"
    [ ! -e "$work/expected" ] || diff -r "$work/expected" "$OUT_DIR" >&2 || fail "$*: other files"
    [ "$(uploads)" -gt "$before" ] || fail "$*: nothing was uploaded"
    is_empty || fail "$*: $(objects) objects are left"
    echo "ok   $*, with $(($(uploads) - before)) objects"
}

"$cache/python/bin/moto_server" -H "${s3%:*}" -p "${s3#*:}" >"$work/s3.log" 2>&1 &
eventually 60 "the S3 server does not answer" curl -sf -o /dev/null -X PUT "http://$s3/holdall"
export AWS_ENDPOINT_URL=http://$s3 AWS_ACCESS_KEY_ID=me AWS_SECRET_ACCESS_KEY=secret AWS_REGION=us-east-1

start_cluster

export HOLDALL_SHUFFLE=s3://holdall/maps OUT_DIR=$work/sorted
text=$work/text.txt left=$work/left.csv right=$work/right.csv
on inline generate_text --bytes 16M --words 50000 "$text"
awk 'BEGIN { for (n = 0; n < 200000; n++) print n * 7919 % 50021 "," n }' >"$left"
awk 'BEGIN { for (n = 0; n < 20000; n++) print n * 104729 % 60013 "," n }' >"$right"
IN=$text same bench W1
IN=$text same bench W3
IN=$left IN2=$right same bench W5

if HOLDALL_SHUFFLE=s3://nothing/maps IN=$text on "ballista://$scheduler" bench W1 >"$work/out" 2>"$work/errors.log"; then
    fail "bench W1 without a bucket"
fi
grep -q "s3://nothing/maps/holdall-.*NoSuchBucket" "$work/errors.log" || fail "no error names the missing bucket"
echo "ok   a bucket that does not exist"

# In the middle of the map stage, the program is killed.
IN=$text on "ballista://$scheduler" bench W1 >/dev/null 2>"$work/errors.log" &
program=$!
eventually 60 "no map outputs appear" has_objects 3
kill -9 $program
wait $program 2>/dev/null || true
eventually 10 "objects of a program that was killed are left" is_empty
echo "ok   a program that is killed"

# In the middle of the map stage, a machine is lost.
HOLDALL_TRACE=$work/trace HOLDALL_SUMMARY=1 IN=$text on "ballista://$scheduler" bench W1 >"$work/out" 2>"$work/errors.log" &
program=$!
eventually 60 "no map outputs appear" has_objects 4
kill -9 "${workers[2]}"
wait $program || fail "bench W1 after the loss of a worker"
IN=$text on inline bench W1 | cmp - "$work/out" || fail "bench W1 after the loss of a worker: a wrong answer"
grep -q "the machine at .* is lost" "$work/errors.log" || fail "bench W1 ended before a worker was killed"
is_empty || fail "$(objects) objects are left after the loss of a worker"
python3 - "$work/trace" <<'PYTHON' || fail "map tasks ran again"
import json, sys
from collections import Counter

events = json.load(open(sys.argv[1]))
done = Counter()
for event in events:
    if event.get("cat") == "tasks":
        done[int(event["name"].rsplit(" ", 1)[1])] += event["args"]["tasks"]
partitions = next(event["args"]["tasks"] for event in events if event.get("cat") == "stage")
print(f"ok   a machine that is killed: of {partitions} map tasks, {done[1] - partitions} ran again")
sys.exit(done[1] != partitions)
PYTHON
