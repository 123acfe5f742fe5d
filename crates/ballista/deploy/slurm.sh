#!/bin/sh
#SBATCH --job-name=holdall
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#
# Runs a program on the nodes of a Slurm job: sbatch [--nodes=N] slurm.sh APP [ARGUMENT...]
#
# APP calls init() of holdall-ballista, and is on a path that all nodes share. Its output is the output of the job. The
# scheduler and the program run on the first node, and a worker on each.
set -eu

port=${PORT:-50050}
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
token=$(mktemp "${HOLDALL_TOKEN_DIR:-$HOME}/.holdall-token.XXXXXX")
scheduler='' workers=''
trap 'kill $workers $scheduler 2>/dev/null || true; rm -f "$token"' EXIT
openssl rand -hex 32 > "$token"
export HOLDALL_TOKEN_FILE="$token"

HOLDALL_ROLE=scheduler HOLDALL_BIND="0.0.0.0:$port" \
    srun --overlap --nodes=1 --ntasks=1 --nodelist="$first" "$1" &
scheduler=$!
HOLDALL_ROLE=worker HOLDALL_SCHEDULER="$first:$port" HOLDALL_BIND=0.0.0.0 HOLDALL_SLOTS="${SLURM_CPUS_ON_NODE:-}" \
    srun --overlap --ntasks="$SLURM_JOB_NUM_NODES" --ntasks-per-node=1 "$1" &
workers=$!
# The program may ask the scheduler before it has started.
until curl -sf --max-time 5 "http://$first:$port/api/executors" > /dev/null; do
    kill -0 "$scheduler"
    sleep 0.2
done
HOLDALL_EXECUTOR="ballista://$first:$port" "$@"
