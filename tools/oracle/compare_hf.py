#!/usr/bin/env python3
"""boreal import and boreal export against transformers, through the built program.

Always: tiny random models are saved by transformers (whole, and cut into several files) and imported by boreal; the
logits of both agree, and the model exported again has the same weights bit for bit. With --checkpoint: that
checkpoint is exported in fp32, transformers loads it (and its tokenizer), and the logits agree with boreal's own.
A bf16 checkpoint's logits, computed in bf16, are compared too.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file

import comparison
import model_goldens
import twin

BOUND = 1e-4  # largest absolute difference of a logit, fp32, models with random weights
BOUND_TRAINED = 1e-4  # relative to the largest logit, fp32
# boreal's distance from float64 over that of transformers (root mean square): one chain over k rounds up to
# sqrt(16) times as much as the 16 partial sums of a vector register.
BOUND_ROUNDING = 4
BOUND_BF16 = 5e-2  # relative to the largest logit
SAMPLE = "The melting point of copper is 1,357.77 K; water boils at 100 °C.\n"


class Boreal:
    def __init__(self, program, folder):
        self.program = str(pathlib.Path(program).resolve())
        self.folder = pathlib.Path(folder)

    def __call__(self, *arguments):
        command = [self.program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
        return done.stdout

    def logits(self, model, ids, name):
        """fp32 [n, vocab] of one document of ids."""
        id_file, out = self.folder / f"{name}.ids", self.folder / f"{name}.safetensors"
        id_file.write_text(" ".join(map(str, ids)) + "\n")
        self("logits", "--model", model, "--ids", id_file, "--to", out)
        return load_file(out)["logits"]


def random_ids(vocab, count, seed):
    return torch.randint(vocab, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


@torch.no_grad()
def transformers_logits(folder, ids):
    return twin.load_model(folder)(input_ids=torch.tensor([ids])).logits[0]


def difference(a, b):
    if a.shape != b.shape:
        raise SystemExit(f"logits of shape {list(a.shape)} against {list(b.shape)}")
    worst = (a - b).abs().max().item()
    return worst if worst == worst else float("inf")


def compare_weights(table, what, first, second):
    """Bit for bit: the count of tensors that differ."""
    a, b = twin.load_model(first).state_dict(), twin.load_model(second).state_dict()
    if sorted(a) != sorted(b):
        raise SystemExit(f"{second}: other tensors than {first}")
    table.add(what, "tensors that differ after import and export", sum(not torch.equal(a[k], b[k]) for k in a), 0)


def compare_import(table, boreal, name, shard_bytes):
    label = name if shard_bytes is None else f"{name}_sharded"
    saved, imported, exported = (boreal.folder / f"{label}.{step}" for step in ("hf", "imported", "exported"))
    model = model_goldens.random_model(model_goldens.MODELS[name](), seed=100)
    model.save_pretrained(saved, **({} if shard_bytes is None else {"max_shard_size": shard_bytes}))
    if shard_bytes is not None and not (saved / "model.safetensors.index.json").exists():
        raise SystemExit(f"{saved}: meant to be in several files")
    boreal("import", "--from", saved, "--to", imported)
    ids = random_ids(model.config.vocab_size, model.config.max_position_embeddings, seed=7)
    expected = transformers_logits(saved, ids)
    what = f"boreal import {label}"
    table.add(what, "logits, max abs", difference(boreal.logits(imported, ids, label), expected), BOUND)
    boreal("export", "--checkpoint", imported, "--to", exported)
    compare_weights(table, what, saved, exported)


def compare_tokenizer(table, boreal, exported):
    """The exported tokenizer.json, loaded by transformers, gives boreal's ids."""
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(exported / "tokenizer.json"))
    text, ids = boreal.folder / "sample.txt", boreal.folder / "sample.ids"
    text.write_text(SAMPLE, encoding="utf-8")
    boreal("tokenizer", "encode", "--tokenizer", exported / "tokenizer.json", "--in", text, "--out", ids)
    ours = [int(word) for word in ids.read_text().split()]
    expected = theirs.encode(SAMPLE, add_special_tokens=False)
    table.add("boreal export checkpoint", "token ids that differ", 0 if ours == expected else len(ours), 0)


@torch.no_grad()
def compare_rounding(table, what, exported, documents, ours):
    """A trained model can amplify rounding until no two fp32 programs agree to 1e-4: who is nearer to float64?"""
    exact = twin.load_model(exported).double()

    def distance(logits):
        squares = [
            (a - exact(input_ids=torch.tensor([ids])).logits[0]).pow(2).mean() for a, ids in zip(logits, documents)
        ]
        return torch.stack(squares).mean().sqrt().item()

    theirs = [transformers_logits(exported, ids) for ids in documents]
    table.add(what, "distance from float64 over transformers' own", distance(ours) / distance(theirs), BOUND_ROUNDING)
    worst = max(twin.relative_difference(a, b) for a, b in zip(ours, theirs))
    table.add(what, "logits of the export, relative", worst, BOUND_TRAINED)
    return theirs


def compare_export(table, boreal, checkpoint):
    what = "boreal export checkpoint"
    exported = boreal.folder / "checkpoint.exported"
    boreal("export", "--checkpoint", checkpoint, "--dtype", "fp32", "--to", exported)
    config = transformers.AutoConfig.from_pretrained(exported)
    length = min(config.max_position_embeddings, 256)
    documents = [random_ids(config.vocab_size, length, seed) for seed in (8, 9, 10)]
    ours = [boreal.logits(exported, ids, f"exported{i}") for i, ids in enumerate(documents)]
    expected = compare_rounding(table, what, exported, documents, ours)
    if "bfloat16" in (pathlib.Path(checkpoint) / "config.json").read_text(encoding="utf-8"):
        figure, bound = "bf16 logits of the checkpoint, relative", BOUND_BF16
    else:
        figure, bound = "logits of the checkpoint, relative", BOUND_TRAINED
    native = boreal.logits(checkpoint, documents[0], "checkpoint")
    table.add(what, figure, twin.relative_difference(native, expected[0]), bound)
    if (exported / "tokenizer.json").exists():
        compare_tokenizer(table, boreal, exported)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boreal", required=True, help="the built program")
    parser.add_argument("--checkpoint", help="a checkpoint of boreal train, e.g. OUT/checkpoints/step-100")
    parser.add_argument("--rows", help="append the comparisons to this file (see comparison.py)")
    arguments = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    table = comparison.Table(arguments.rows)
    with tempfile.TemporaryDirectory() as folder:
        boreal = Boreal(arguments.boreal, folder)
        for name in model_goldens.MODELS:
            for shard_bytes in (None, "40KB"):
                compare_import(table, boreal, name, shard_bytes)
        if arguments.checkpoint:
            compare_export(table, boreal, arguments.checkpoint)
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
