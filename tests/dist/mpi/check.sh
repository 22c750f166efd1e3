#!/usr/bin/env bash
# Worlds of MPI processes: check.sh PROGRAM MPIEXEC SCENE. Each function is a test; its name says what must hold.
set -euo pipefail

mpiexec=$2
scene=$3
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 # MPI keeps what it took
unset OMPI_COMM_WORLD_SIZE PMI_SIZE SLURM_STEP_NUM_TASKS

folder=$(mktemp -d)
program=$folder/ranks # a name of its own, to look for
ln -s "$1" "$program"
trap 'rm -rf "$folder"' EXIT
die() {
  printf '%s\n' "$*" >&2
  sed 's/^/  /' "$folder/err" >&2 || true
  exit 1
}

# ranks N WORLD SCENE: its status in $status, its output in $folder/out, its errors in $folder/err.
ranks() {
  status=0
  timeout -k 5 60 "$mpiexec" -n "$1" "$program" "$2" "$3" >"$folder/out" 2>"$folder/err" || status=$?
}
says() { grep -qE -- "$1" "$folder/err" || die "nobody says: $1"; }
one_line() {
  local count
  count=$(grep -cE '^rank [0-9]+ of [0-9]+' "$folder/err") || true
  ((count == 1)) || die "$count lines of ranks instead of one"
}
ended_with() { ((status == $1)) || die "ended with $status, not $1"; }
# Within so many seconds, and without leaving a process behind.
within() {
  local limit=$1 start=$SECONDS
  shift
  "$@"
  ((SECONDS - start <= limit)) || die "took $((SECONDS - start)) s, more than $limit"
  sleep 0.2
  if pgrep -f "^$program" >"$folder/left"; then die "a rank is still there"; fi
}

processes_give_the_bits_that_threads_give() {
  local count world
  for count in 2 4; do
    "$program" "threads:$count" hashes >"$folder/threads"
    for world in mpi mpi-messages; do
      ranks "$count" "$world" hashes
      ended_with 0
      cmp "$folder/threads" "$folder/out" || die "$world differs from threads:$count"
    done
  done
}

a_stopped_process_ends_the_job_and_is_named() {
  local world
  for world in mpi mpi-messages; do
    within 15 ranks 3 "$world" stopped
    ended_with 1
    one_line
    says '^rank [02] of 3 \(dp_shard [02]\), step 17: all_reduce of world, fp32 \[1000\], at tests/dist/mpi/main.cc:[0-9]+ has not'
    says 'rank 1 \(dp_shard 1\), step 17, has shown no sign of life for [0-9.]+ s; it was after barrier of world'
    says 'ranks 0, 2 wait$'
  done
}

a_rank_that_does_not_come_is_named_with_its_last_call() {
  within 15 ranks 3 mpi absent
  one_line
  says 'rank 1 \(dp_shard 1\), step 17, has not called it; it left barrier of world, at .*, [0-9.]+ s ago; ranks 0, 2 wait$'
}

ranks_that_do_not_fit_are_named() {
  local world
  for world in mpi mpi-messages; do
    within 15 ranks 3 "$world" mismatch
    one_line
    says 'rank 0 \(dp_shard 0\), step 17 and rank 2 \(dp_shard 2\), step 17: all_reduce of world, fp32 \[3, 4\], at tests'
    says 'rank 1 \(dp_shard 1\), step 17: broadcast of world, fp32 \[12\], root 0, at tests'
  done
}

ranks_in_different_groups_are_named() {
  local world
  for world in mpi mpi-messages; do
    within 15 ranks 2 "$world" crossed
    one_line
    says 'all_reduce of tp'
    says 'barrier of dp_shard'
  done
}

an_error_of_one_rank_ends_the_job_with_its_code() {
  within 40 ranks 3 mpi refusal
  ended_with 3
  one_line
  says '^rank 1 of 3 \(dp_shard 1\), step 17: shard 3 is damaged$'
  within 40 ranks 3 mpi agreed
  ended_with 3
  says '^error: shard 3 is damaged$'
}

a_launcher_of_several_needs_the_world_mpi() {
  ranks 2 single hashes
  ended_with 2
  says 'one of 2 \(OMPI_COMM_WORLD_SIZE=2\), but the world is single'
}

"$scene"
