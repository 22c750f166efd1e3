#!/usr/bin/env python3
"""Trains the PyTorch twin of a finished boreal run: same initial weights, same batches, same schedule.

Reads the run's resolved.yaml and metrics.jsonl. The batches are those of `boreal tokens batches`: input, target,
weight, position and doc_begin of [steps, rows, sequence], in one file or in several that follow each other. Prints
both validation losses with their relative difference, and draws both curves. Writes twin.jsonl beside the plot.
"""

import argparse
import json
import pathlib
import sys
import time

import torch
import transformers
import yaml

import comparison
import curves
import twin


def numbers(value):
    """PyYAML takes 1e-08 for a string (YAML 1.1 wants a dot)."""
    if isinstance(value, dict):
        return {key: numbers(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [numbers(entry) for entry in value]
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def read_run(folder):
    """(resolved spec, rows of metrics.jsonl)."""
    spec = numbers(yaml.safe_load((folder / "resolved.yaml").read_text(encoding="utf-8")))
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    if [row["step"] for row in rows] != list(range(1, len(rows) + 1)):
        raise SystemExit(f"{folder / 'metrics.jsonl'}: the steps are not 1 to {len(rows)}")
    return spec, rows


def load_all(paths):
    return [batch for path in paths for batch in twin.load_batches(path)]


def progress(step, steps, loss, start_s):
    left_s = (time.monotonic() - start_s) / step * (steps - step)
    print(f"step {step} of {steps}  loss {loss:.4f}  {left_s / 60:.1f} min left", file=sys.stderr, flush=True)


def train(spec, rows, run, batches, validation):
    """Rows like boreal's: step, loss, grad_norm, lr, and validation_loss where boreal has one."""
    optim, steps = spec["optim"], len(rows)
    adamw = twin.AdamW(
        run,
        lr=optim["lr"],
        betas=optim["betas"],
        eps=optim["eps"],
        weight_decay=optim["weight_decay"],
        clip=optim["clip"],
    )
    micro_rows = spec["train"].get("micro_batch_sequences", 0)
    done, start_s = [], time.monotonic()
    for step, theirs in enumerate(rows):
        lr = twin.learning_rate(optim, step, steps)
        row = {"step": step + 1, "loss": run.backward(batches[step], micro_rows), "lr": lr}
        row["grad_norm"] = adamw.step(lr)
        if "validation_loss" in theirs:
            row["validation_loss"] = run.mean_loss(validation)
        done.append(row)
        if (step + 1) % 50 == 0 or step == 0:
            progress(step + 1, steps, row["loss"], start_s)
    return done


def compare(table, ours, theirs):
    what = "shakespeare against its twin"
    lr = max(abs(a["lr"] / b["lr"] - 1) if b["lr"] else abs(a["lr"]) for a, b in zip(ours, theirs))
    table.add(what, "learning rate, relative", lr, 1e-9)
    # The same weights and the same batch: whatever is wrong with either shows here before training blurs it.
    table.add(what, "loss of the first step, relative", abs(ours[0]["loss"] / theirs[0]["loss"] - 1), 1e-3)
    a, b = ours[-1]["validation_loss"], theirs[-1]["validation_loss"]
    print(f"validation loss after {len(ours)} steps: boreal {a:.4f}, PyTorch {b:.4f}, {100 * (a / b - 1):+.2f} %")
    table.add(what, "validation loss, relative", abs(a / b - 1), 1e-2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, type=pathlib.Path, help="output folder of the boreal run")
    parser.add_argument("--init", required=True, help="its initial weights as a Hugging Face folder")
    parser.add_argument("--batches", required=True, nargs="+", help="its training batches, in order")
    parser.add_argument("--validation", required=True, nargs="+", help="its validation batches")
    parser.add_argument("--plot", required=True, type=pathlib.Path, help="picture to draw (.svg or .png)")
    parser.add_argument(
        "--dtype",
        choices=["bf16", "fp32"],
        default="fp32",
        help="what PyTorch computes in: fp32, the exact one and four times as fast here, or bf16 by autocast",
    )
    parser.add_argument("--rows", help="append the comparisons to this file (see comparison.py)")
    arguments = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    spec, ours = read_run(arguments.run)
    batches, validation = load_all(arguments.batches), load_all(arguments.validation)
    if len(batches) != len(ours):
        raise SystemExit(f"{len(batches)} batches for the {len(ours)} steps of {arguments.run}")
    if "validation_loss" not in ours[-1]:
        raise SystemExit(f"{arguments.run}: the last step has no validation_loss; set data.validation")
    run = twin.Twin(twin.load_model(arguments.init), arguments.dtype)
    theirs = train(spec, ours, run, batches, validation)
    lines = "".join(json.dumps(row) + "\n" for row in theirs)
    (arguments.plot.parent / "twin.jsonl").write_text(lines, encoding="utf-8")
    curves.draw(arguments.plot, ours, theirs)
    table = comparison.Table(arguments.rows)
    compare(table, ours, theirs)
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
