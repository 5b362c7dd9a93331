#!/usr/bin/env bash
# A Ray cluster on the nodes of one Slurm job, and a run on it; docs/deploy.md has the commands.
#   sbatch --nodes=4 deploy/slurm.sh search.yaml
#SBATCH --job-name=evolve
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=4
#SBATCH --mem=0
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@300
#SBATCH --output=evolve-%j.log
set -euo pipefail

config=${1:?a configuration file}
shift
database=${EVOLVE_DB:-sqlite:///${SLURM_SUBMIT_DIR:?}/evolve.db}
# shellcheck source=/dev/null
[ -z "${EVOLVE_VENV:-}" ] || source "$EVOLVE_VENV/bin/activate"

export RAY_USAGE_STATS_ENABLED=0 RAY_TMPDIR=/tmp
# Others of the cluster reach these ports as well: without the token, which only this job knows, Ray does nothing for them.
RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | od -A n -t x1 | tr -d ' \n')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
port=$((20000 + SLURM_JOB_ID % 20000))
head=$(hostname)
address=$head:$port
cpus=${SLURM_CPUS_PER_TASK:-1}
gpus=${SLURM_GPUS_ON_NODE:-0}

node() { # COUNT-OPTIONS -- RAY-OPTIONS: a step that runs a Ray node until the job ends
    srun --overlap --ntasks-per-node=1 "$@" &
}

node --nodes=1 --nodelist="$head" \
    ray start --head --port="$port" --num-cpus="$cpus" --num-gpus="$gpus" --include-dashboard=false --block
for _ in $(seq 60); do
    ray health-check --address "$address" 2>/dev/null && break
    sleep 2
done
ray health-check --address "$address"
if [ "${SLURM_JOB_NUM_NODES:-1}" -gt 1 ]; then
    node --nodes=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" \
        ray start --address="$address" --num-cpus="$cpus" --num-gpus="$gpus" --block
fi

# Slurm ends this shell five minutes before the time is up: the run then finishes what is in flight and commits it, and
# `sbatch` of the same command goes on with it. (A shell's background job would not hear of an INT.)
evolve run "$config" --db "$database" --set pool.kind=ray --set pool.address="$address" "$@" &
run=$!
trap 'kill -TERM "$run"' TERM
while :; do
    status=0
    wait "$run" || status=$?
    kill -0 "$run" 2>/dev/null || break
done
# The signal may have ended that wait just before the run ended: then its status is still to be had.
again=0
wait "$run" 2>/dev/null || again=$?
[ "$again" -eq 127 ] || status=$again
exit "$status"
