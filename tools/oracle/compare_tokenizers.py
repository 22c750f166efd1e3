#!/usr/bin/env python3
"""The tokenizers' goldens, made again by Hugging Face tokenizers in a copy, against those committed."""

import argparse
import filecmp
import pathlib
import shutil
import subprocess
import sys
import tempfile

import comparison

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GOLDEN = ROOT / "tests" / "golden"


def tokenizer_files(golden):
    """All but the models', which model_goldens.py makes."""
    files = [path.relative_to(golden) for path in golden.rglob("*") if path.is_file()]
    return sorted(path for path in files if path.parts[0] != "model")


def make_again(folder):
    """Runs tokenizer_goldens.py in a tree with the same surroundings; returns its tests/golden."""
    golden = folder / "tree" / "tests" / "golden"
    shutil.copytree(GOLDEN, golden, ignore=shutil.ignore_patterns("model"))
    shared = ROOT.parent / "shared"
    if shared.is_dir():
        (folder / "shared").symlink_to(shared)
    command = [sys.executable, HERE / "tokenizer_goldens.py"]
    subprocess.run(command, cwd=folder / "tree", check=True, stdout=sys.stderr)
    return golden


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", help="append the comparisons to this file (see comparison.py)")
    table = comparison.Table(parser.parse_args().rows)
    with tempfile.TemporaryDirectory() as folder:
        fresh = make_again(pathlib.Path(folder))
        files = tokenizer_files(GOLDEN)
        if tokenizer_files(fresh) != files:
            raise SystemExit(f"{GOLDEN}: other files than tokenizer_goldens.py makes")
        for file in files:
            same = filecmp.cmp(GOLDEN / file, fresh / file, shallow=False)
            table.add("goldens of the tokenizers", f"{file} differs, made again", 0 if same else 1, 0)
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
