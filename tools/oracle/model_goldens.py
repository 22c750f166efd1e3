#!/usr/bin/env python3
"""Makes tests/golden/model/: tiny random models, batches, and what PyTorch computes from them.

Each folder is a Hugging Face folder (config.json, model.safetensors) with golden.safetensors (batches, logits,
gradients) and golden.json (losses, gradient norms, hyperparameters, versions). tests/train/golden_test.cc reads
them. --check computes everything again and compares it with what is committed, without writing.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file

import comparison
import twin

ROOT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "model"
VOCAB, ROWS, SEQUENCE, BATCHES, STEPS = 96, 2, 16, 4, 20
OPTIM = {"lr": 3e-3, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1, "clip": 3.0}


def llama(tied):
    # eps and theta are not the defaults, so that one who ignores them is found out.
    return transformers.LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=32,
        rms_norm_eps=1e-4,
        rope_theta=500.0,
        tie_word_embeddings=tied,
        bos_token_id=0,
        eos_token_id=0,
    )


def gpt2():
    return transformers.GPT2Config(
        vocab_size=VOCAB,
        n_embd=64,
        n_layer=2,
        n_head=4,
        n_positions=32,
        layer_norm_epsilon=1e-4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )


# Small and awkward: grouped queries, an odd vocabulary, head sizes of their own, windows shorter than a row.
SIZES = {
    "vocab_size": 97,
    "hidden_size": 36,
    "intermediate_size": 50,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
    "rms_norm_eps": 1e-4,
    "rope_theta": 500.0,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def llama3():
    scaling = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    }
    return transformers.LlamaConfig(**SIZES, head_dim=10, rope_scaling=scaling)


def linear():
    return transformers.LlamaConfig(**SIZES, rope_scaling={"rope_type": "linear", "factor": 2.5})


def neox():
    """FORGE's head size of 86."""
    return transformers.GPTNeoXConfig(
        vocab_size=97,
        hidden_size=172,
        intermediate_size=66,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
        layer_norm_eps=1e-4,
        rotary_pct=0.75,
        rotary_emb_base=500,
        bos_token_id=0,
        eos_token_id=0,
    )


def gemma2():
    return transformers.Gemma2Config(
        **{**SIZES, "tie_word_embeddings": True},
        head_dim=14,
        query_pre_attn_scalar=20,
        sliding_window=5,
        attn_logit_softcapping=2.0,
        final_logit_softcapping=3.0,
        pad_token_id=None,  # else PyTorch drops the gradient of that row of the table
    )


MODELS = {
    "llama_untied": lambda: llama(False),
    "llama_tied": lambda: llama(True),
    "gpt2": gpt2,
    "llama3": llama3,
    "llama_linear": linear,
    "neox": neox,
    "mistral": lambda: transformers.MistralConfig(**SIZES, sliding_window=5),
    "qwen2": lambda: transformers.Qwen2Config(
        **SIZES, use_sliding_window=True, sliding_window=5, max_window_layers=1
    ),
    "qwen3": lambda: transformers.Qwen3Config(**SIZES, head_dim=10),
    "gemma2": gemma2,
    "olmo2": lambda: transformers.Olmo2Config(**SIZES, pad_token_id=None),
}
# The others in fp32 alone: rounding is a matter of the kernels, which all share.
BF16 = ["llama_untied", "llama_tied", "gpt2"]


def random_model(config, seed):
    """Norms and biases are random too: ones and zeros would hide a missing one."""
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=twin.attention_of(config)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim >= 2:
                parameter.copy_(0.1 * noise)
            else:
                parameter.copy_(0.1 * noise + (1 if parameter.mean() > 0.5 else 0))  # Gemma's are zeros
    return model


def random_batches(seed, vocab):
    """Row 0 is one document with part of the loss masked out, row 1 is two documents."""
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for index in range(BATCHES):
        ids = torch.randint(vocab, (ROWS, SEQUENCE + 1), generator=generator)
        weight = torch.ones(ROWS, SEQUENCE)
        weight[0] = (torch.rand(SEQUENCE, generator=generator) < 0.6).float()
        second = 5 + 2 * index
        weight[1, second - 1] = 0  # the next document cannot be foretold
        column = torch.arange(SEQUENCE)
        begin = torch.stack([torch.zeros_like(column), torch.where(column < second, 0, second)])
        batches.append(twin.Batch(ids[:, :-1], ids[:, 1:], weight, column - begin, begin))
    return batches


def stacked(batches):
    """The arrays in boreal's types."""
    out = {}
    for name in twin.FIELDS:
        array = torch.stack([getattr(batch, name) for batch in batches])
        out[name] = array.float() if name == "weight" else array.to(torch.int32)
    return out


def documents_are_apart(model, batch):
    """The oracle's own mask, checked: the second document of row 1 alone gives the same logits."""
    begin = int(batch.doc_begin[1].max())
    alone = model(input_ids=batch.input[1:2, begin:]).logits
    packed = twin.Twin(model, "fp32").logits(batch)[1:2, begin:]
    difference = twin.relative_difference(packed, alone)
    if difference > 1e-5:
        raise SystemExit(f"the oracle's document mask leaks: {difference}")


def compute(folder, batches, dtype):
    """(tensors, figures) of one model in one dtype."""
    suffix = "" if dtype == "fp32" else "_bf16"
    model = twin.load_model(folder)
    run = twin.Twin(model, dtype)
    tensors = {}
    with torch.no_grad():
        if dtype == "fp32":
            documents_are_apart(model, batches[0])
        tensors["logits" + suffix] = run.logits(batches[0]).clone()
    figures = {"loss": run.backward(batches[0])}
    for name, parameter in run.named_parameters().items():
        gradient = parameter.grad.clone()
        tensors[f"gradient{suffix}.{name}"] = gradient if dtype == "fp32" else gradient.bfloat16()
    optimizer = twin.AdamW(run, **OPTIM)
    figures["losses"], figures["gradient_norms"] = [], []
    for step in range(STEPS):
        figures["losses"].append(run.backward(batches[step % BATCHES]))
        figures["gradient_norms"].append(optimizer.step(OPTIM["lr"]))
    with torch.no_grad():
        tensors["trained_logits" + suffix] = run.logits(batches[0]).clone()
    return tensors, figures


def make(name, folder):
    """Writes one golden folder whole."""
    folder.mkdir(parents=True, exist_ok=True)
    seed = 1 + list(MODELS).index(name)
    model = random_model(MODELS[name](), seed)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    batches = random_batches(seed, model.config.vocab_size)
    tensors = stacked(batches)
    figures = {"versions": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}}
    figures["optim"] = OPTIM
    for dtype in ("fp32", "bf16") if name in BF16 else ("fp32",):
        more, figures[dtype] = compute(folder, batches, dtype)
        tensors.update(more)
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "golden.safetensors")
    (folder / "golden.json").write_text(json.dumps(figures, indent=1) + "\n")


def check(name, table):
    """The committed folder against one made now."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = pathlib.Path(scratch) / name
        make(name, fresh)
        for file in ("model.safetensors", "golden.safetensors"):
            new, old = load_file(fresh / file), load_file(ROOT / name / file)
            if sorted(new) != sorted(old):
                raise SystemExit(f"{ROOT / name / file}: holds other tensors than this script makes")
            for dtype, bound in (("fp32", 1e-5), ("bf16", 3e-2)):
                keys = [key for key in new if ("_bf16" in key) == (dtype == "bf16")]
                if not keys:
                    continue  # weights are fp32 alone
                worst = max(twin.relative_difference(new[key], old[key]) for key in keys)
                table.add(f"goldens {name}", f"{file} {dtype}, made again", worst, bound)
        new = json.loads((fresh / "golden.json").read_text())
        old = json.loads((ROOT / name / "golden.json").read_text())
        for dtype, bound in (("fp32", 1e-4), ("bf16", 1e-2)):
            if dtype not in new:
                continue
            worst = max(twin.relative_difference(new[dtype][key], old[dtype][key]) for key in ("loss", "losses"))
            table.add(f"goldens {name}", f"losses {dtype}, made again", worst, bound)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed goldens, write none")
    parser.add_argument("--rows", help="append the comparisons to this file (see comparison.py)")
    parser.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS), help="these alone")
    arguments = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # One thread: the order of PyTorch's sums does not depend on the machine's cores.
    torch.set_num_threads(1)
    table = comparison.Table(arguments.rows)
    for name in arguments.only:
        if arguments.check:
            check(name, table)
        else:
            make(name, ROOT / name)
            size = sum(file.stat().st_size for file in (ROOT / name).iterdir())
            print(f"{ROOT / name}: {size:,} bytes")
    return table.close() if arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
