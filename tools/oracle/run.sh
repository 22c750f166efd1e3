#!/usr/bin/env bash
# Every comparison with PyTorch and transformers, and one table of what was reached. Exits 1 if one is out of bounds.
set -euo pipefail

here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -P "$here/../.." && pwd)
build=${BOREAL_BUILD:-$root/build/release}
boreal=${BOREAL:-$build/src/app/boreal}
out=$root/out/oracle
recipe=$root/recipes/shakespeare.yaml
shakespeare=no

help() {
  cat <<'TEXT'
./run oracle [--shakespeare] [--build DIR]
./run oracle --learning [ARGS]
    logits, gradients and losses of the tiny models, made again by PyTorch and computed by boreal;
    import and export against transformers; tokenizers against those of Hugging Face
--shakespeare   also train recipes/shakespeare.yaml with boreal and with PyTorch (a quarter of an hour on 2 cores);
                the picture of both curves is out/oracle/shakespeare.svg
--learning      only this: recipes/learning.yaml in bf16, in fp32 and by PyTorch, and two more seeds (most of an hour on
                2 cores); the table on stdout, the picture in out/oracle/learning/learning.svg; ARGS: see learning.py
--build DIR     the build to test; default build/release
Environment: BOREAL_ORACLE, place of the virtual environment (default ~/.cache/boreal/oracle)
TEXT
}

die() {
  printf 'oracle: %s\n' "$*" >&2
  exit 2
}

while (($# > 0)); do
  case $1 in
    --shakespeare) shakespeare=yes ;;
    --learning)
      [[ -x $boreal ]] || die "there is no $boreal; build it first: ./run build"
      python=$("$here/setup.sh")
      cd "$root"
      exec "$python" "$here/learning.py" --boreal "$boreal" "${@:2}"
      ;;
    --build)
      build=${2:?--build needs a folder}
      boreal=$build/src/app/boreal
      shift
      ;;
    -h | --help)
      help
      exit 0
      ;;
    *) die "unknown argument $1; ./run oracle --help" ;;
  esac
  shift
done

golden_test=$build/tests/train/train_test
for program in "$boreal" "$golden_test"; do
  [[ -x $program ]] || die "there is no $program; build it first: ./run build boreal train_test"
done
python=$("$here/setup.sh")
mkdir -p "$out"
rows=$out/rows.jsonl
goldens=$out/train_test.json
rm -f "$rows" "$goldens"
touch "$rows"
failed=0

# A comparison that fails is in the table; one that cannot run is named, and the others still run.
compare() {
  printf 'oracle: %s\n' "$*" >&2
  "$python" "$here/$1" --rows "$rows" "${@:2}" || failed=1
}

# Imports and exports; a short run of the quickstart gives a checkpoint with a tokenizer.
compare_folders() {
  local run=$out/short steps=20
  rm -rf "$run"
  "$boreal" train "$root/recipes/quickstart.yaml" --set train.tokens=0 --set "train.steps=$steps" --out "$run" --quiet
  compare compare_hf.py --boreal "$boreal" --checkpoint "$run/checkpoints/step-$steps"
}

compare_shakespeare() {
  local run=$out/shakespeare steps
  rm -rf "$run" "$run".*
  "$boreal" train "$recipe" --out "$run" --quiet
  steps=$(wc -l <"$run/metrics.jsonl")
  # One step at a rate that moves no weight: its checkpoint holds the weights that the run began with.
  "$boreal" train "$recipe" --set train.tokens=0 --set train.steps=1 --set optim.lr=1e-30 --out "$run.start" --quiet
  "$boreal" export --checkpoint "$run.start/checkpoints/step-1" --dtype fp32 --to "$run.init"
  "$boreal" tokens batches "$recipe" --out "$run" --steps "0..$steps" --to "$run.batches.safetensors"
  "$boreal" tokens batches "$recipe" --out "$run" --steps validation --to "$run.validation.safetensors"
  compare shakespeare_twin.py --run "$run" --init "$run.init" --batches "$run.batches.safetensors" \
    --validation "$run.validation.safetensors" --plot "$out/shakespeare.svg"
}

cd "$root"
"$golden_test" --gtest_brief=1 --gtest_filter='*Golden*' --gtest_output="json:$goldens" >&2 || failed=1
compare model_goldens.py --check
compare compare_tokenizers.py
compare_folders || failed=1
if [[ $shakespeare == yes ]]; then compare_shakespeare || failed=1; fi
"$python" "$here/comparison.py" "$goldens" "$rows" || failed=1
exit "$failed"
