#!/usr/bin/env bash
# Makes the oracle's virtual environment, outside the tree: PyTorch, transformers, tokenizers. Does nothing if it
# is whole already. Place: $BOREAL_ORACLE, else ~/.cache/boreal/oracle. Prints the path of its python.
set -euo pipefail

place=${BOREAL_ORACLE:-$HOME/.cache/boreal/oracle}
python=$place/bin/python

whole() {
  [[ -x $python ]] && "$python" - <<'PY' 2>/dev/null
from importlib.metadata import version
import matplotlib, numpy, safetensors, tokenizers, yaml
assert version("torch").split("+")[0] == "2.13.0" and version("transformers") == "4.57.1"
PY
}

die() {
  printf 'oracle: %s\n' "$*" >&2
  exit 1
}

if ! whole; then
  command -v python3 >/dev/null || die "python3 is missing (Debian: apt-get install python3 python3-venv)"
  printf 'oracle: installing PyTorch and transformers into %s\n' "$place" >&2
  python3 -m venv "$place" || die "cannot make $place (Debian: apt-get install python3-venv)"
  # PyTorch first and from its own index of CPU builds where that can be reached: the default one brings GPU libraries
  # of several gigabytes.
  index=https://download.pytorch.org/whl/cpu
  "$python" -m pip install -q --no-input --retries 1 torch==2.13.0 --index-url "$index" >&2 ||
    "$python" -m pip install -q --no-input torch==2.13.0 >&2 || die "pip could not install torch 2.13.0"
  "$python" -m pip install -q --no-input transformers==4.57.1 tokenizers safetensors numpy matplotlib >&2 ||
    die "pip could not install transformers 4.57.1"
  whole || die "$place is not whole after the installation; remove it and try again"
fi
printf '%s\n' "$python"
