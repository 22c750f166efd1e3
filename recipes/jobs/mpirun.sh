#!/usr/bin/env bash
# Trains a recipe on the cores of one machine, or of several that mpirun reaches, for a limited time:
#
#   RANKS=8 SPEC=recipes/facts.yaml recipes/jobs/mpirun.sh && echo done
#
# Exit code 75: the time was over, the run is saved, and the same line goes on where it stopped.
set -uo pipefail

boreal=${BOREAL:-boreal}              # the program; build/release/src/app/boreal after ./run build
spec=${SPEC:-recipes/quickstart.yaml} # what to train
ranks=${RANKS:-2}                     # processes in all; a rank a NUMA node is a good start
limit=${LIMIT:-11h}                   # then save and stop; infinity: no limit

# How the ranks share the work. boreal mesh says what this means, and refuses what does not fit.
sets=(--set "mesh.dp_shard=$ranks")
"$boreal" mesh "$spec" "${sets[@]}" || exit

# --bind-to none: boreal cuts each machine's cores between its ranks. More machines: add --hostfile FILE.
# mpirun hands SIGUSR1 on to the ranks, which save and exit 75. SIGTERM it takes as an order to kill them.
timeout --signal=USR1 --preserve-status "$limit" \
  mpirun -n "$ranks" --bind-to none "$boreal" train "$spec" "${sets[@]}" --world mpi
