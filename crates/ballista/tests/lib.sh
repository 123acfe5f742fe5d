# shellcheck shell=bash
# Shared by the scripts of this directory: a cluster of three workers on this machine. Each has a mount namespace and a
# network namespace of its own, and a file system of its own at the same path, so no path of another worker exists there.
#
# PROGRAMS is the program with the examples. If it is not set, it is built.

[ "$(id -u)" = 0 ] || { echo "this needs root, for namespaces" >&2; exit 1; }
for tool in ip unshare nsenter curl openssl; do
    command -v "$tool" >/dev/null && continue
    apt-get update -qq && apt-get install -qqy iproute2 util-linux curl openssl >/dev/null
    break
done

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
if [ -z "${PROGRAMS:-}" ]; then
    cargo build --manifest-path "$repository/Cargo.toml" -p holdall-ballista-examples --features collections,stores
    PROGRAMS=${CARGO_TARGET_DIR:-$repository/target}/debug/holdall-ballista-examples
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/cluster.XXXXXX")
# Names of interfaces are short, and no other run has them.
id=$((BASHPID % 100000))
net=10.$((100 + id % 100)).$((id / 100 % 250))
port=50050
slots=${SLOTS:-2}
workers=${WORKERS:-3}
declare -A worker_pids=()
scheduler_pid=

mkdir "$work/bin" "$work/apart" "$work/driver"
openssl rand -hex 32 >"$work/token"
for name in "$repository"/examples/*.rs "$repository"/crates/ballista-examples/src/*.rs; do
    ln -s "$PROGRAMS" "$work/bin/$(basename "$name" .rs)"
done
export HOLDALL_TOKEN_FILE=$work/token

say() { printf '%s\n' "$*" >&2; }
fail() { say "FAILED: $*"; exit 1; }

# Waits until a command succeeds: eventually SECONDS WHAT COMMAND...
eventually() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ $SECONDS -lt $end ] || fail "$what"
        sleep 0.05
    done
}

start_network() {
    ip link add "hb$id" type bridge
    ip addr add "$net.1/24" dev "hb$id"
    ip link set "hb$id" up
    ip link set lo up
    local n
    for n in $(seq "$workers"); do
        ip netns add "hb$id-$n"
        ip link add "hb$id.$n" type veth peer name eth0 netns "hb$id-$n"
        ip link set "hb$id.$n" master "hb$id" up
        ip -n "hb$id-$n" addr add "$net.$((n + 1))/24" dev eth0
        ip -n "hb$id-$n" link set eth0 up
        ip -n "hb$id-$n" link set lo up
    done
}

stop_all() {
    local pid n
    for pid in "${worker_pids[@]}" $scheduler_pid $(jobs -p); do
        kill -CONT "$pid" 2>/dev/null || true
        kill -9 "$pid" 2>/dev/null || true
    done
    for n in $(seq "$workers"); do
        ip netns del "hb$id-$n" 2>/dev/null || true
    done
    ip link del "hb$id" 2>/dev/null || true
    wait 2>/dev/null || true
    if [ -n "${KEEP:-}" ]; then say "kept: $work"; else rm -rf "$work"; fi
}
trap stop_all EXIT
trap 'exit 130' INT TERM

# Starts the scheduler, and waits until it answers.
start_scheduler() {
    if [ -n "${STOCK_SCHEDULER:-}" ]; then
        (cd "$work" && exec "$STOCK_SCHEDULER" --bind-host "$net.1" --external-host "$net.1" --bind-port $port \
            --scheduler-policy pull-staged --executor-timeout-seconds 30 \
            --expire-dead-executor-interval-seconds 5) >>"$work/scheduler.log" 2>&1 &
    else
        HOLDALL_ROLE=scheduler HOLDALL_BIND=$net.1:$port "$PROGRAMS" >>"$work/scheduler.log" 2>&1 &
    fi
    scheduler_pid=$!
    eventually 60 "the scheduler does not answer, see $work/scheduler.log" executors >/dev/null
}

kill_scheduler() {
    kill -9 "$scheduler_pid"
    wait "$scheduler_pid" 2>/dev/null || true
}

executors() { curl -sf --max-time 5 "http://$net.1:$port/api/executors"; }

# Number of workers that the scheduler knows.
known_workers() { executors | grep -o '"vcores":' | wc -l; }

all_are_known() { [ "$(known_workers)" -ge "$workers" ]; }

# Starts worker N. Its directory exists only in its namespace, and the directory of the driver does not exist there.
start_worker() {
    local n=$1
    HOLDALL_ROLE=worker HOLDALL_SCHEDULER=$net.1:$port HOLDALL_BIND=0.0.0.0 HOLDALL_SLOTS=$slots \
        HOLDALL_SPILL_DIR=$work/apart HOLDALL_MEMORY=${WORKER_MEMORY:-512MiB} \
        ip netns exec "hb$id-$n" unshare --mount --propagation private bash -c '
            mount -t tmpfs -o "size=${SIZE:-8g}" worker "$0/apart" && mount -t tmpfs none "$0/driver" &&
            cd / && exec "$1"' "$work" "$PROGRAMS" \
        >>"$work/worker$n.log" 2>&1 &
    worker_pids[$n]=$!
}

kill_worker() {
    kill -9 "${worker_pids[$1]}" 2>/dev/null || true
    wait "${worker_pids[$1]}" 2>/dev/null || true
}

# Process numbers of the worker processes on machine N.
processes_of() { cat /proc/"${worker_pids[$1]}"/task/*/children 2>/dev/null || true; }

has_processes() { [ -n "$(processes_of "$1")" ]; }

# Number of files and directories in the directory of worker N.
files_of() {
    nsenter --target "${worker_pids[$1]}" --mount find "$work/apart" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l
}

# Nothing of a program is left on worker N. The one that is left is for Ballista.
is_clean() { [ "$(files_of "$1")" -le 1 ] && ! has_processes "$1"; }

all_are_clean() {
    local n
    for n in $(seq "$workers"); do is_clean "$n" || return 1; done
}

start_cluster() {
    start_network
    start_scheduler
    local n
    for n in $(seq "$workers"); do start_worker "$n"; done
    eventually 60 "not all workers are there, see $work/worker*.log" all_are_known
    export HOLDALL_SPILL_DIR=$work/driver
    # shellcheck disable=SC2034 # Scripts use it.
    cluster=ballista://$net.1:$port
}

# Runs an example on an executor: on EXECUTOR NAME ARGUMENT...
on() {
    local executor=$1 name=$2
    shift 2
    HOLDALL_EXECUTOR=$executor "$work/bin/$name" "$@"
}
