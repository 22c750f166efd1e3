#!/usr/bin/env python3
"""Writes the tables of docs/performance.md from the JSON lines of the benchmarks.

    table.py out/performance docs/performance.md

What stands between "<!-- NAME -->" and "<!-- end -->" is replaced; a case that was not measured has an empty cell.
"""

import json
import pathlib
import re
import sys

EAGER, COMPILED, MODEL, PEAK = "pytorch eager", "pytorch compiled", "pytorch compiled-model", "peak"
LLAMA, ONE = "llama.cpp", "one sequence"

FORMATS = (("bf16", "bf16"), ("int8", "8 bits"), ("int4", "4 bits"))

# work, file, case, [(against, asked: at least, at most if negative, nothing if 0)]
ASKED = [
    ("GPT-2 124M, 4 x 1,024, bf16, whole step", "step", "step.gpt2_124m.bf16",
     [(EAGER, 2.0), (COMPILED, 1.6), (MODEL, 1.6), (PEAK, 0.65)]),
    ("Llama 162M, 4 x 1,024, bf16, whole step", "step", "step.llama_162m.bf16",
     [(EAGER, 2.0), (COMPILED, 1.6), (MODEL, 1.6), (PEAK, 0.65)]),
    ("GPT-2 124M, fp32", "step", "step.gpt2_124m.fp32", [(EAGER, 3.0)]),
    ("Llama 162M, fp32", "step", "step.llama_162m.fp32", [(EAGER, 3.0)]),
    ("small model, 8 x 256, bf16", "step", "step.small.bf16", [(EAGER, 1.8), (COMPILED, 1.8), (MODEL, 1.8)]),
    ("memory of GPT-2 124M, bf16", "program", "memory.gpt2_124m.bf16", [(EAGER, -0.6)]),
    ("memory of Llama 162M, bf16", "program", "memory.llama_162m.bf16", [(EAGER, -0.6)]),
    ("memory of GPT-2 124M, fp32", "program", "memory.gpt2_124m.fp32", [(EAGER, -0.6)]),
    ("memory of Llama 162M, fp32", "program", "memory.llama_162m.fp32", [(EAGER, -0.6)]),
    ("memory of the small model", "program", "memory.small.bf16", [(EAGER, -0.6)]),
    ("attention forward + backward, T 2,048", "attention", "attention.both.t2048.bf16", [(EAGER, 2.5)]),
    ("attention forward + backward, T 8,192", "attention", "attention.both.t8192.bf16", [(EAGER, 2.5)]),
    ("residual + RMSNorm, forward + backward", "rows", "rows.residual_rms_norm.768.bf16",
     [(EAGER, 5.0), (COMPILED, 0)]),
    ("SwiGLU, forward + backward", "rows", "rows.swiglu.2048.bf16", [(EAGER, 2.5), (COMPILED, 0)]),
    ("head + cross-entropy, forward + backward", "rows", "rows.head_cross_entropy.bf16",
     [(EAGER, 2.0), (COMPILED, 0)]),
    ("clip + AdamW, 124 M", "rows", "rows.clip_adamw", [(EAGER, 1.2)]),
    ("time to the first step, GPT-2 124M [s]", "program", "start.gpt2_124m.bf16", [("value", -2.0)]),
    ("GPT-2 124M, fp32, AVX2 forced", "avx2", "step.gpt2_124m.fp32", [(EAGER, 1.3)]),
    ("GPT-2 124M, bf16 against fp32 of PyTorch, AVX2 forced", "avx2", "step.gpt2_124m.bf16", [(EAGER, 1.3)]),
    *((f"decode, 1 sequence, {name}", "decode", f"decode.{kind}.1", [(LLAMA, 1.05)]) for kind, name in FORMATS),
    *((f"prefill of 256 tokens, {name}", "decode", f"prefill.{kind}.256", [(LLAMA, 1.5)]) for kind, name in FORMATS),
    *((f"decode, 8 sequences, {name}", "decode", f"decode.{kind}.8", [(ONE, 4.0 if kind == "int4" else 5.0), (LLAMA, 0)])
      for kind, name in FORMATS),
]


def read(folder):
    """{(file, case): {against: object}}"""
    cases = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            case = json.loads(line)
            cases.setdefault((path.stem, case["name"]), {})[case.get("against", "")] = case
    return cases


def figure(case, against, one_sequence):
    """(reached, ours, theirs) as numbers; nothing where it was not measured."""
    any_of = next(iter(case.values()), None)
    if any_of is None:
        return None
    if against == "value":
        return any_of["value"], any_of, None
    if against == ONE:
        one = next(iter(one_sequence.values()), None)
        return (any_of["value"] / one["value"], any_of, one["value"]) if one else None
    if against == PEAK:
        if "peak_share" in any_of:
            return any_of["peak_share"], any_of, None
        return (any_of["ratio"], any_of, None) if any_of["against"].startswith("machine peak") else None
    found = case.get(against)
    return (found["ratio"], found, found.get("peer_value")) if found else None


def asked_text(against, asked):
    if asked == 0:
        return f"beside {against.removeprefix('pytorch ')}"
    sense = "at most" if asked < 0 else "at least"
    if against == PEAK:
        return f"{sense} {abs(asked):.0%} of measured peak".replace("%", " %")
    if against == "value":
        return f"{sense} {abs(asked):g}"
    return f"{sense} {abs(asked):g} x {against.removeprefix('pytorch ')}"


def asked_rows(cases):
    lines = ["| work | asked | measured | ours | the other |", "|---|---|---|---|---|"]
    for work, file, name, wishes in ASKED:
        for against, asked in wishes:
            got = figure(cases.get((file, name), {}), against, cases.get((file, name.removesuffix("8") + "1"), {}))
            measured = ours = theirs = ""
            if got:
                reached, case, peer = got
                met = asked and (reached <= -asked if asked < 0 else reached >= asked)
                text = f"{100 * reached:.0f} %" if against == PEAK else f"{reached:.2f}"
                measured = f"**{text}**" if met else text
                ours = f"{case['value']:.4g} {case['unit']}"
                theirs = f"{peer:.4g}" if peer else ""
            lines.append(f"| {work} | {asked_text(against, asked)} | {measured} | {ours} | {theirs} |")
            work = ""
    return lines


def machine_rows(folder):
    path = folder / "machine.json"
    if not path.exists():
        return ["not measured"]
    m = json.loads(path.read_text(encoding="utf-8"))
    read_gb = m["read_bytes_per_s"] * 1e-9
    lines = [
        f"{m['cpu']}, {m['cores']} cores, {m['memory_bytes'] * 1e-9:.0f} GB, instruction set `{m['isa']}`.",
        "",
        "| | GFLOP/s | FLOPs a byte of memory read |",
        "|---|---|---|",
    ]
    for name in ("fp32", "bf16"):
        gflops = m[name + "_flops"] * 1e-9
        lines.append(f"| {name} | {gflops:.0f} | {gflops / read_gb:.0f} |")
    return [*lines, "", f"Memory is read at {read_gb:.1f} GB/s."]


def profile_rows(folder, model):
    """The table that `boreal train --profile` printed."""
    path = folder / f"profile_{model}.txt"
    if not path.exists():
        return ["not measured"]
    text = path.read_text(encoding="utf-8").split("\n\n")[0]
    return ["```text", *text.splitlines(), "```"]


def main():
    folder, page = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    blocks = {
        "machine": machine_rows(folder),
        "asked": asked_rows(read(folder)),
        "gpt2_124m": profile_rows(folder, "gpt2_124m"),
        "llama_162m": profile_rows(folder, "llama_162m"),
    }
    text = page.read_text(encoding="utf-8")
    for name, lines in blocks.items():
        block = f"<!-- {name} -->\n" + "\n".join(lines) + "\n<!-- end -->"
        text, count = re.subn(f"<!-- {name} -->\n.*?<!-- end -->", lambda _: block, text, flags=re.S)
        if count != 1:
            raise SystemExit(f"{page}: {count} blocks <!-- {name} -->, one is needed")
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
