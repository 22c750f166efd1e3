#!/usr/bin/env python3
"""Trains recipes/learning.yaml in bf16, in fp32 and in PyTorch: do they learn the same?

For the first seed all three start from the same weights and see the same batches; the other seeds are trained in bf16
alone (--all: in all three). How much chance is worth: bf16 once more with an epsilon of AdamW that is a thousandth larger. Prints each final validation loss with its distance from
fp32's, and draws the curves. What is finished is not trained again, so the command can be stopped and repeated.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as pyplot  # noqa: E402
import transformers  # noqa: E402

import comparison  # noqa: E402
import curves  # noqa: E402
import shakespeare_twin as twins  # noqa: E402
import twin  # noqa: E402

BOUND = 5e-3
ENGINES = ("fp32", "bf16", "PyTorch")
COLOURS = {"fp32": "#1f63ad", "bf16": "#0b7a75", "PyTorch": "#f2a65a"}
SMOOTH = 20
# Changes each update in its last bits, and nothing that matters.
NUDGE = "optim.eps=1.001e-8"


class Check:
    def __init__(self, arguments):
        self.arguments = arguments
        self.out = arguments.out
        self.out.mkdir(parents=True, exist_ok=True)

    def boreal(self, *words):
        command = [str(self.arguments.boreal), *map(str, words)]
        print("learning:", *command[1:], file=sys.stderr, flush=True)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def sets(self, seed, dtype, *more):
        values = [f"seed={seed}", f"model.dtype={dtype}", *self.arguments.set, *more]
        if self.arguments.steps:
            values += ["train.tokens=0", f"train.steps={self.arguments.steps}"]
        return [word for value in values for word in ("--set", value)]

    def folder(self, seed, name):
        return self.out / f"seed{seed}.{name}"

    def train(self, seed, dtype, name=None, *more):
        """Rows of metrics.jsonl. boreal goes on from its last checkpoint, and skips what is finished."""
        run = self.folder(seed, name or dtype)
        self.boreal("train", self.arguments.recipe, *self.sets(seed, dtype, *more), "--out", run, "--quiet")
        return twins.read_run(run)

    def initial_weights(self, seed):
        """One step at a rate that moves no weight: its checkpoint holds the weights that the run begins with."""
        start, init = self.folder(seed, "start"), self.folder(seed, "init")
        if not init.exists():
            still = ["train.tokens=0", "train.steps=1", "optim.lr=1e-30"]
            steps, self.arguments.steps = self.arguments.steps, 0
            words = self.sets(seed, "fp32", *still)
            self.arguments.steps = steps
            self.boreal("train", self.arguments.recipe, *words, "--out", start, "--quiet")
            self.boreal("export", "--checkpoint", start, "--dtype", "fp32", "--to", init)
        return init

    def batches(self, seed, steps):
        path = self.folder(seed, f"{steps}.batches.safetensors")
        words = [self.arguments.recipe, *self.sets(seed, "fp32"), "--out", self.folder(seed, "fp32"), "--steps"]
        if not path.exists():
            self.boreal("tokens", "batches", *words, f"0..{steps}", "--to", path)
        held_out = self.folder(seed, "validation.safetensors")
        if not held_out.exists():
            self.boreal("tokens", "batches", *words, "validation", "--to", held_out)
        return twin.load_batches(path), twin.load_batches(held_out)

    def train_peer(self, seed):
        spec, rows = self.train(seed, "fp32")
        done = self.folder(seed, f"pytorch.{self.arguments.peer_dtype}.{len(rows)}.jsonl")
        if not done.exists():
            model = twin.load_model(self.initial_weights(seed))
            run = twin.Twin(model, self.arguments.peer_dtype)
            theirs = twins.train(spec, rows, run, *self.batches(seed, len(rows)))
            done.write_text("".join(json.dumps(row) + "\n" for row in theirs), encoding="utf-8")
        return [json.loads(line) for line in done.read_text(encoding="utf-8").splitlines()]

    def rows(self, seed, engine):
        return self.train_peer(seed) if engine == "PyTorch" else self.train(seed, engine)[1]


def draw(path, runs, spread):
    """runs: {engine: rows} of the first seed; spread: the rows of bf16 of all seeds."""
    pyplot.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10, "svg.fonttype": "none"})
    figure, (top, bottom) = pyplot.subplots(
        2, 1, figsize=(8, 6.4), height_ratios=(3, 1.5), sharex=True, layout="constrained"
    )
    for engine, width in zip(("PyTorch", "fp32", "bf16"), (5.5, 3, 1.2)):
        steps, losses = curves.column(runs[engine], "loss")
        label = f"{engine}, validation {runs[engine][-1]['validation_loss']:.4f}"
        top.plot(steps, curves.smooth(losses, SMOOTH), color=COLOURS[engine], linewidth=width, label=label)
        steps, losses = curves.column(runs[engine], "validation_loss")
        top.scatter(steps, losses, s=12 * width, color=COLOURS[engine], zorder=3)
    for rows in spread[1:]:
        steps, losses = curves.column(rows, "validation_loss")
        top.plot(steps, losses, color=curves.FAINT, marker="o", markersize=3, linewidth=1, zorder=1)
    top.plot([], [], color=curves.FAINT, marker="o", markersize=3, label="bf16, other seeds")
    top.set_ylabel("loss [nats a token]", color=curves.INK)
    top.legend(frameon=False, labelcolor=curves.INK)
    bottom.axhspan(-100 * BOUND, 100 * BOUND, color=COLOURS["bf16"], alpha=0.08, linewidth=0)
    for engine in ("bf16", "PyTorch"):
        (steps, ours), (_, fp32) = (curves.column(runs[name], "validation_loss") for name in (engine, "fp32"))
        percent = [100 * (a / b - 1) for a, b in zip(ours, fp32)]
        bottom.plot(steps, percent, color=COLOURS[engine], marker="o", markersize=4, label=engine)
    bottom.set_ylabel("validation loss,\nfrom boreal's fp32 [%]", color=curves.INK)
    bottom.set_xlabel("step", color=curves.INK)
    bottom.set_ylim(-2, 2)
    bottom.legend(frameon=False, labelcolor=curves.INK, ncols=2, loc="upper right")
    for axes in (top, bottom):
        curves.style(axes)
    figure.suptitle("The same weights and batches in bf16, in fp32 and in PyTorch", color=curves.INK, x=0.02, ha="left")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def report(losses, nudged, first, table):
    """losses: {(seed, engine): final validation loss}; nudged: that of the first seed's second run in bf16; first: {engine:
    rows} of the first seed."""
    seeds = sorted({seed for seed, _ in losses})
    print("final validation loss [nats a token]")
    print("seed  " + "".join(f"{engine:>12}" for engine in ENGINES) + "   bf16/fp32  PyTorch/fp32")
    for seed in seeds:
        values = [losses.get((seed, engine)) for engine in ENGINES]
        cells = "".join(f"{value:12.4f}" if value else f"{'':12}" for value in values)
        ratios = "".join(f"{100 * (v / values[0] - 1):+11.2f} %" if v and values[0] else "" for v in values[1:])
        print(f"{seed:4}  {cells}{ratios}")
    bf16 = [losses[seed, "bf16"] for seed in seeds]
    mean = sum(bf16) / len(bf16)
    print(f"chance: bf16 with {NUDGE} ends at {nudged:.4f}, {100 * (nudged / bf16[0] - 1):+.2f} %")
    print(f"spread of the seeds in bf16: {100 * (max(bf16) - min(bf16)) / mean:.2f} % of {mean:.4f}")
    begin = first["fp32"][0]["loss"]
    table.add("learning", "loss of the first step, PyTorch", abs(first["PyTorch"][0]["loss"] / begin - 1), 1e-4)
    table.add("learning", "loss of the first step, bf16", abs(first["bf16"][0]["loss"] / begin - 1), 1e-3)
    for seed, engine in losses:
        if engine != "fp32" and (seed, "fp32") in losses:
            apart = abs(losses[seed, engine] / losses[seed, "fp32"] - 1)
            table.add(f"learning, seed {seed}", f"validation loss, {engine} from fp32", apart, BOUND)


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boreal", type=pathlib.Path, default=root / "build/release/src/app/boreal")
    parser.add_argument("--recipe", type=pathlib.Path, default=root / "recipes/learning.yaml")
    parser.add_argument("--out", type=pathlib.Path, default=root / "out/oracle/learning")
    parser.add_argument("--plot", type=pathlib.Path, help="default: learning.svg in the output folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--all", action="store_true", help="all three engines for every seed")
    parser.add_argument("--steps", type=int, default=0, help="so many steps only, to see that it works")
    parser.add_argument("--set", action="append", default=[], help="override a key of the recipe")
    parser.add_argument("--peer-dtype", choices=["bf16", "fp32"], default="fp32", help="what PyTorch computes in")
    parser.add_argument("--rows", help="append the comparisons to this file (see comparison.py)")
    arguments = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    check = Check(arguments)
    runs = {}
    for seed in arguments.seeds:
        for engine in ENGINES if arguments.all or seed == arguments.seeds[0] else ("bf16",):
            runs[seed, engine] = check.rows(seed, engine)
    nudged = check.train(arguments.seeds[0], "bf16", "nudged", NUDGE)[1][-1]["validation_loss"]
    first = {engine: runs[arguments.seeds[0], engine] for engine in ENGINES}
    draw(arguments.plot or arguments.out / "learning.svg", first, [runs[seed, "bf16"] for seed in arguments.seeds])
    table = comparison.Table(arguments.rows)
    report({key: rows[-1]["validation_loss"] for key, rows in runs.items()}, nudged, first, table)
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
