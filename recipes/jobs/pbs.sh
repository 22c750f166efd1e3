#!/usr/bin/env bash
# Trains a recipe under PBS, over as many jobs as it takes: qsub -v SPEC=my.yaml recipes/jobs/pbs.sh, from the folder
# that holds recipes/.
#
# Change what is marked <-. The numbers are those of a node with two sockets of 52 cores (as on Aurora).
#PBS -N boreal
#PBS -A PROJECT
#PBS -q prod
#PBS -l select=2
#PBS -l walltime=02:00:00
#PBS -l filesystems=home:flare
#PBS -l place=scatter
#PBS -j oe
# <- the five lines from -A on
set -uo pipefail
cd "$PBS_O_WORKDIR" || exit

# module load ...                     # <- the modules that boreal was built with
boreal=${BOREAL:-boreal}
spec=${SPEC:-recipes/quickstart.yaml} # <-
limit=${LIMIT:-6600}                  # <- seconds until the run is told to save: walltime less a step and a save
ranks_per_node=${RANKS_PER_NODE:-8}   # <-
cores_per_rank=${CORES_PER_RANK:-13}  # <-
nodes=$(sort -u "$PBS_NODEFILE" | wc -l)
ranks=$((nodes * ranks_per_node))

# How the ranks share the work. boreal mesh says what this means, and refuses what does not fit.
sets=(--set "mesh.dp_shard=$ranks")
"$boreal" mesh "$spec" "${sets[@]}" || exit

# PBS itself warns a few seconds before it kills, too late for a save. mpiexec hands SIGUSR1 on to the ranks, which
# save and exit 75. Each is bound to cores of its own, and boreal puts a thread on each.
timeout --signal=USR1 --preserve-status "$limit" \
  mpiexec -n "$ranks" --ppn "$ranks_per_node" --depth "$cores_per_rank" --cpu-bind depth \
  "$boreal" train "$spec" "${sets[@]}" --world mpi
code=$?

# 75: not done yet. The next job goes on from the newest checkpoint. Where jobs may not submit jobs, submit several
# at once, each with -W depend=afterany:THE_ONE_BEFORE: a run that is done ends at once.
same="SPEC=$spec,BOREAL=$boreal,LIMIT=$limit,RANKS_PER_NODE=$ranks_per_node,CORES_PER_RANK=$cores_per_rank"
if ((code == 75)); then qsub -v "$same" recipes/jobs/pbs.sh; fi
exit "$code"
