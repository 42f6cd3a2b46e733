#!/usr/bin/env bash
# A run on Slurm: `sbatch conf/cluster/slurm.sh experiment=seed_question`. Edit the lines marked EDIT.
# Submitted again after a failure or the time limit, it resumes.
#SBATCH --job-name=splitsweep
#SBATCH --nodes=4                 # EDIT
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16        # EDIT
#SBATCH --mem=32G                 # EDIT
#SBATCH --time=12:00:00           # EDIT
#SBATCH --signal=B:TERM@60
set -euo pipefail

results=${RESULTS_DIR:-$SLURM_SUBMIT_DIR/results}  # EDIT: a folder that all nodes share, or s3://
source "${VENV:-$SLURM_SUBMIT_DIR/.venv}/bin/activate"

# A token of its own: another user's job on these nodes cannot join or command this cluster.
umask 077
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$SLURM_SUBMIT_DIR/.ray-token-$SLURM_JOB_ID"
python -c 'import secrets; print(secrets.token_hex(32))' > "$RAY_AUTH_TOKEN_PATH"
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"' EXIT
export OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1
# Notice a lost node within about 3 s instead of 12 s, or a minute if it is silent.
export RAY_health_check_initial_delay_ms=2000 RAY_health_check_period_ms=500
export RAY_health_check_timeout_ms=700 RAY_health_check_failure_threshold=3

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))
srun --nodes=1 --ntasks=1 --nodelist="$head" \
  ray start --head --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" --include-dashboard=false --block &
sleep 15
if ((SLURM_JOB_NUM_NODES > 1)); then
  srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" \
    ray start --address="$head:$port" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
fi

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
  sweep "$@" backend=ray_cluster backend.address="$head:$port" results_dir="$results" &
run=$!
trap 'kill -TERM $run; wait $run' TERM
wait $run
