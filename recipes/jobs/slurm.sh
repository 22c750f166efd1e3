#!/usr/bin/env bash
# Trains a recipe under Slurm, over as many jobs as it takes: sbatch --export=ALL,SPEC=my.yaml recipes/jobs/slurm.sh
#
# Change what is marked <-. The numbers are those of a node with 8 groups of 7 free cores (as on Frontier).
#SBATCH --job-name=boreal
#SBATCH --account=PROJECT        # <-
#SBATCH --partition=batch        # <-
#SBATCH --nodes=2                # <-
#SBATCH --ntasks-per-node=8      # <- ranks a node
#SBATCH --cpus-per-task=7        # <- cores of a rank
#SBATCH --threads-per-core=1
#SBATCH --time=02:00:00          # <-
#SBATCH --output=boreal-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
# The ranks (no B:) get SIGUSR1 so many seconds before the end, save, and exit 75: leave time for a step and a save.
#SBATCH --signal=USR1@300
set -uo pipefail

# module load ...                     # <- the modules that boreal was built with
boreal=${BOREAL:-boreal}
spec=${SPEC:-recipes/quickstart.yaml} # <-

# How the ranks share the work. boreal mesh says what this means, and refuses what does not fit.
sets=(--set "mesh.dp_shard=$SLURM_NTASKS")
"$boreal" mesh "$spec" "${sets[@]}" || exit

# Slurm binds each rank to cores of its own, and boreal puts a thread on each.
srun --kill-on-bad-exit=0 --cpus-per-task="$SLURM_CPUS_PER_TASK" --cpu-bind=cores \
  "$boreal" train "$spec" "${sets[@]}" --world mpi
code=$?

# 75: not done yet. The same job goes back into the queue and on from its newest checkpoint.
if ((code == 75)); then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"
