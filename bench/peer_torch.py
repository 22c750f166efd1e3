"""PyTorch as the peer of a benchmark: bf16 by autocast with fp32 weights, fused AdamW, SDPA.

    peer_torch.py THREADS    answers questions on stdin, one a line (peer.h), with one line each

Cases carry the same names and sizes as those of the C++ side, behind "eager", "compiled" or "compiled-model": the
second puts what it can through torch.compile, the third only the model of a step, its loss stays eager. What is
compiled has run before "set up" is answered.
"""
import gc
import multiprocessing
import os
import sys
import tempfile
import time

import torch
import torch.nn.functional as F
from torch import nn

COMPILED = False
MODEL_ALONE = False
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def wrapped(function):
    return torch.compile(function, dynamic=False) if COMPILED else function


def gemm(kind, dtype, tokens, n_in, n_out, count=1):
    tokens, n_in, n_out, count = int(tokens), int(n_in), int(n_out), int(count)
    dtype = DTYPES[dtype]
    x = torch.randn(tokens, n_in).to(dtype)
    dy = torch.randn(tokens, n_out).to(dtype)
    w = [torch.randn(n_out, n_in).to(dtype) for _ in range(count)]
    if kind in ("forward", "decode"):
        return lambda: [F.linear(x, each) for each in w]
    if kind == "input_gradient":
        return lambda: dy @ w[0]
    # As autograd does it: the product in the compute type, then added to fp32.
    dw = torch.zeros(n_out, n_in)
    return lambda: dw.add_(dy.t() @ x)


def attention(kind, dtype, rows, sequence, heads, kv_heads, dim):
    rows, sequence, heads, kv_heads, dim = map(int, (rows, sequence, heads, kv_heads, dim))

    def draw(n):
        x = torch.randn(rows, n, sequence, dim).to(DTYPES[dtype])
        return x.requires_grad_(kind != "forward")

    q, k, v = draw(heads), draw(kv_heads), draw(kv_heads)

    def forward():
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=kv_heads != heads)

    if kind == "forward":
        return torch.no_grad()(forward)
    o = forward()
    d_o = torch.randn_like(o)
    if kind == "both":
        return lambda: torch.autograd.grad(forward(), (q, k, v), d_o)
    return lambda: torch.autograd.grad(o, (q, k, v), d_o, retain_graph=True)


def draw_bf16(*shape):
    return torch.randn(*shape).bfloat16().requires_grad_()


def residual_norm(rows, width):
    """Forward and backward of h = x + r, y = norm(h): both go on."""
    rows, width = int(rows), int(width)
    x, r, w = draw_bf16(rows, width), draw_bf16(rows, width), draw_bf16(width)
    dy, dh = torch.randn(rows, width).bfloat16(), torch.randn(rows, width).bfloat16()

    @wrapped
    def forward(x, r, w):
        h = x + r
        return h, F.rms_norm(h, (width,), w, 1e-5)

    return lambda: torch.autograd.grad(forward(x, r, w), (x, r, w), (dh, dy))


def swiglu(rows, ffn):
    rows, ffn = int(rows), int(ffn)
    gate_up, dy = draw_bf16(rows, 2 * ffn), torch.randn(rows, ffn).bfloat16()

    @wrapped
    def forward(gate_up):
        gate, up = gate_up.chunk(2, -1)
        return F.silu(gate) * up

    return lambda: torch.autograd.grad(forward(gate_up), gate_up, dy)


def head(rows, width, vocab):
    """Norm, logits and loss, forward and backward; the weight is kept in fp32, as masters are."""
    rows, width, vocab = int(rows), int(width), int(vocab)
    x = draw_bf16(rows, width)
    norm = torch.ones(width).bfloat16().requires_grad_()
    w = (torch.randn(vocab, width) * 0.02).requires_grad_()
    target = torch.randint(vocab, (rows,))

    @wrapped
    def loss_of(x, norm, w):
        with torch.autocast("cpu", torch.bfloat16):
            logits = F.linear(F.rms_norm(x, (width,), norm, 1e-5), w)
        return F.cross_entropy(logits.float(), target)

    return lambda: torch.autograd.grad(loss_of(x, norm, w), (x, norm, w))


def optimizer(family, dtype, *sizes):
    rows, sequence, layers, d, heads, ffn, vocab, tied = (int(v) for v in sizes)
    model = Decoder(family, layers, d, heads, ffn, vocab, sequence, tied)
    adamw = adamw_of(model)
    for p in model.parameters():
        p.grad = torch.randn_like(p) * 1e-3

    def run():
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()

    return run


class Block(nn.Module):
    def __init__(self, family, d, heads, ffn):
        super().__init__()
        self.llama, self.heads = family == "llama", heads
        norm = nn.RMSNorm if self.llama else nn.LayerNorm
        self.norm1, self.norm2 = norm(d, eps=1e-5), norm(d, eps=1e-5)
        self.qkv = nn.Linear(d, 3 * d, bias=not self.llama)
        self.out = nn.Linear(d, d, bias=not self.llama)
        self.up = nn.Linear(d, 2 * ffn if self.llama else ffn, bias=not self.llama)
        self.down = nn.Linear(ffn, d, bias=not self.llama)

    def forward(self, x, rotary):
        b, t, d = x.shape
        qkv = self.qkv(self.norm1(x)).chunk(3, -1)
        q, k, v = (h.view(b, t, self.heads, -1).transpose(1, 2) for h in qkv)
        if self.llama:
            cos, sin = rotary

            def turn(h):
                first, second = h.chunk(2, -1)
                return (h * cos + torch.cat((-second, first), -1) * sin).to(h.dtype)

            q, k = turn(q), turn(k)
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(o.transpose(1, 2).reshape(b, t, d))
        h = self.up(self.norm2(x))
        if self.llama:
            gate, up = h.chunk(2, -1)
            h = F.silu(gate) * up
        else:
            h = F.gelu(h, approximate="tanh")
        return x + self.down(h)


class Decoder(nn.Module):
    def __init__(self, family, layers, d, heads, ffn, vocab, sequence, tied):
        super().__init__()
        self.llama = family == "llama"
        self.tokens = nn.Embedding(vocab, d)
        self.positions = None if self.llama else nn.Embedding(sequence, d)
        self.blocks = nn.ModuleList(Block(family, d, heads, ffn) for _ in range(layers))
        self.head = self.tokens if tied else nn.Embedding(vocab, d)
        self.norm = (nn.RMSNorm if self.llama else nn.LayerNorm)(d, eps=1e-5)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)
        dim = d // heads
        angle = torch.outer(torch.arange(sequence), 10000.0 ** (-torch.arange(0, dim, 2) / dim))
        self.rotary = torch.cat((angle, angle), -1).cos(), torch.cat((angle, angle), -1).sin()

    def forward(self, ids):
        x = self.tokens(ids)
        if not self.llama:
            x = x + self.positions.weight
        for block in self.blocks:
            x = block(x, self.rotary)
        return F.linear(self.norm(x), self.head.weight)


def adamw_of(model):
    return torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)


def step(family, dtype, *sizes):
    rows, sequence, layers, d, heads, ffn, vocab, tied = (int(v) for v in sizes)
    model = Decoder(family, layers, d, heads, ffn, vocab, sequence, tied)
    adamw = adamw_of(model)
    forward = torch.compile(model, dynamic=False) if MODEL_ALONE else model
    ids = torch.randint(vocab, (rows, sequence))
    target = torch.randint(vocab, (rows, sequence))

    @wrapped
    def loss_of(ids, target):
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16"):
            logits = forward(ids)
        return F.cross_entropy(logits.float().view(-1, vocab), target.view(-1))

    def run():
        loss_of(ids, target).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        adamw.zero_grad(set_to_none=True)

    return run


def gloo_rank(rank, path, count):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method="file://" + path, rank=rank, world_size=2)
    x = torch.zeros(count)
    return lambda: torch.distributed.all_reduce(x)


def gloo_for_ever(path, count):
    run = gloo_rank(1, path, count)
    try:
        while True:
            run()
    except RuntimeError:  # the first one has gone
        pass


def all_reduce(dtype, size):
    """Two processes; the second waits in gloo until this one calls."""
    if torch.distributed.is_initialized():  # the case before was another world of ours
        for process in multiprocessing.active_children():
            process.kill()
            process.join()
        torch.distributed.destroy_process_group()
    path = os.path.join(tempfile.mkdtemp(), "store")
    count = int(size) // 4
    other = multiprocessing.get_context("spawn").Process(
        target=gloo_for_ever, args=(path, count), daemon=True)
    other.start()
    return gloo_rank(0, path, count)


CASES = {
    "gemm": gemm,
    "attention": attention,
    "residual_norm": residual_norm,
    "swiglu": swiglu,
    "head": head,
    "optimizer": optimizer,
    "step": step,
    "all_reduce": all_reduce,
}


def set_up(variant, name, *sizes):
    global COMPILED, MODEL_ALONE
    COMPILED, MODEL_ALONE = variant == "compiled", variant == "compiled-model"
    torch._dynamo.reset()
    run = CASES[name](*sizes)
    run()
    if COMPILED or MODEL_ALONE:  # the second run settles what the first one guessed
        run()
    return run


def main():
    torch.set_num_threads(int(sys.argv[1]))
    torch.manual_seed(1)
    run = None
    for line in sys.stdin:
        words = line.split()
        answer = "ok"
        if words[:2] == ["set", "up"] or words[:1] == ["clear"]:
            run = None
            gc.collect()
        if words[:2] == ["set", "up"]:
            try:
                run = set_up(*words[2:])
            except Exception as error:
                answer = "error " + str(error).replace("\n", " ")[:300]
        elif words[:1] == ["run"]:
            begin, count = time.perf_counter(), 0
            while count == 0 or time.perf_counter() - begin < float(words[1]):
                run()
                count += 1
            answer = str((time.perf_counter() - begin) / count)
        print(answer, flush=True)


if __name__ == "__main__":
    main()
