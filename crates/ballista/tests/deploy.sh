#!/usr/bin/env bash
# Runs the scripts of deploy/ on this machine: the commands that they give to ssh, scp, srun and scontrol run here. Checks
# the file for Kubernetes against the schemas of Kubernetes.
#
# PROGRAMS is the program with the examples. If it is not set, it is built.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
deploy=$repository/crates/ballista/deploy
if [ -z "${PROGRAMS:-}" ]; then
    cargo build --manifest-path "$repository/Cargo.toml" -p holdall-ballista-examples
    PROGRAMS=${CARGO_TARGET_DIR:-$repository/target}/debug/holdall-ballista-examples
fi
fail() { echo "FAILED: $*" >&2; exit 1; }

work=$(mktemp -d "${TMPDIR:-/tmp}/deploy.XXXXXX")
export HOSTS=$work/hosts.d
end() {
    HOLDALL_TOKEN_FILE=$work/token SSH=$work/bin/ssh sh "$deploy/ssh.sh" "$work/hosts" "$PROGRAMS" stop || true
    rm -rf "$work"
}
trap end EXIT
mkdir "$work/bin"

# Each host has a home directory.
cat >"$work/bin/ssh" <<'SSH'
#!/bin/sh
mkdir -p "$HOSTS/$1"
cd "$HOSTS/$1" && sh -c "$2"
SSH
cat >"$work/bin/scp" <<'SCP'
#!/bin/sh
cp "$2" "$HOSTS/${3%%:*}/${3#*:}"
SCP
cat >"$work/bin/scontrol" <<'SCONTROL'
#!/bin/sh
printf '%s\n' 127.0.0.1 localhost
SCONTROL
cat >"$work/bin/srun" <<'SRUN'
#!/bin/sh
for argument; do
    case $argument in
    --*) shift ;;
    esac
done
exec "$@"
SRUN
chmod +x "$work"/bin/*
export PATH=$work/bin:$PATH HOLDALL_SLOTS=1 HOLDALL_MEMORY=256MiB HOLDALL_SPILL_DIR=$work/spill
ln -s "$PROGRAMS" "$work/word_count"
expected=$(HOLDALL_EXECUTOR=inline "$work/word_count")

printf '%s\n' 127.0.0.1 localhost >"$work/hosts"
settings=$(HOLDALL_TOKEN_FILE=$work/token PORT=50061 sh "$deploy/ssh.sh" "$work/hosts" "$PROGRAMS")
[ "$settings" = "HOLDALL_TOKEN_FILE=$work/token HOLDALL_EXECUTOR=ballista://127.0.0.1:50061" ] || fail "ssh.sh: $settings"
end=$((SECONDS + 60))
until [ "$(curl -sf http://127.0.0.1:50061/api/executors | grep -o '"vcores":1' | wc -l)" = 2 ]; do
    [ $SECONDS -lt $end ] || fail "ssh.sh: not all workers are there: $(cat "$HOSTS"/*/.holdall-cluster/*.log)"
    sleep 0.1
done
pids=$(cat "$HOSTS"/*/.holdall-cluster/*.pid)
printed=$(env $settings "$work/word_count")
[ "$printed" = "$expected" ] || fail "ssh.sh: printed $printed"
HOLDALL_TOKEN_FILE=$work/token sh "$deploy/ssh.sh" "$work/hosts" "$PROGRAMS" stop
for pid in $pids; do
    until ! kill -0 "$pid" 2>/dev/null; do
        [ $SECONDS -lt $end ] || fail "ssh.sh: stop leaves process $pid"
        sleep 0.1
    done
done
[ -z "$(find "$HOSTS" -mindepth 2)" ] || fail "ssh.sh: stop leaves files"
echo "ok   ssh.sh"

mkdir "$work/home"
printed=$(SLURM_JOB_NODELIST='node[1-2]' SLURM_JOB_NUM_NODES=2 SLURM_CPUS_ON_NODE=2 PORT=50062 HOME=$work/home \
    sh "$deploy/slurm.sh" "$work/word_count")
[ "$printed" = "$expected" ] || fail "slurm.sh: printed $printed"
[ -z "$(find "$work/home" -type f)" ] || fail "slurm.sh: leaves files"
echo "ok   slurm.sh"

python3 -m venv "$work/python"
"$work/python/bin/pip" install -q kubernetes-validate
"$work/python/bin/kubernetes-validate" --strict "$deploy/kubernetes.yaml"
echo "ok   kubernetes.yaml"
