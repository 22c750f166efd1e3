#!/usr/bin/env bash
# Measures everything that docs/performance.md tells and writes it there: cases, instruction sets, profiles. On a quiet machine;
# with PyTorch beside it most of two hours.
set -euo pipefail

here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -P "$here/../.." && pwd)
build=$root/build/release
out=$root/out/performance
names=()
flags=()

help() {
  cat <<'TEXT'
./run performance [NAME...] [--runs=N] [--oracle=PYTHON] [--eager]
    runs the benchmarks NAME... (default: step, rows, attention, program, decode, avx2, profile), keeps what they say in
    out/performance/NAME.jsonl, and writes docs/performance.md and docs/profile_*.svg from all that is there.
    avx2: whole steps with the instruction set forced down; profile: where the time of a step goes
TEXT
}

for word in "$@"; do
  case $word in
    -h | --help)
      help
      exit 0
      ;;
    -*) flags+=("$word") ;;
    *) names+=("$word") ;;
  esac
done
if ((${#names[@]} == 0)); then names=(step rows attention program decode avx2 profile); fi
mkdir -p "$out"

# measure NAME PROGRAM [ARGS]: whole or not at all.
measure() {
  local name=$1
  shift
  printf 'performance: %s\n' "$*" >&2
  "$@" --json "${flags[@]}" | tee /dev/stderr >"$out/$name.part"
  mv "$out/$name.part" "$out/$name.jsonl"
}

profile() {
  local model run
  for model in gpt2_124m llama_162m; do
    run=$out/profile_$model
    rm -rf "$run"
    "$build/src/app/boreal" train "$root/recipes/bench_$model.yaml" --set train.steps=5 --profile --quiet --out "$run" |
      tee /dev/stderr >"$out/profile_$model.txt"
    cp "$run/profile.svg" "$root/docs/profile_$model.svg"
    rm -rf "$run/checkpoints"
  done
}

cd "$root"
"$build/src/app/boreal" machine --json | tail -n 1 >"$out/machine.json"
for name in "${names[@]}"; do
  case $name in
    profile) profile ;;
    avx2) measure avx2 "$build/bench/bench_step" --isa=avx2 gpt2_124m ;;
    *) if [[ -x $build/bench/bench_$name ]]; then measure "$name" "$build/bench/bench_$name"; fi ;;
  esac
done
python3 "$here/table.py" "$out" "$root/docs/performance.md"
