"""The PyTorch twin of a boreal model: a transformers model fed with boreal's batches.

fp32: the model as transformers runs it. bf16 (design, section 4): fp32 masters under torch.autocast, with what
autocast would leave to chance set as boreal has it: the embedding tables are rounded, so that the residual stream
is bf16; rotary angles, logits and loss are fp32; logits come from bf16 operands. What is left of the difference:
autocast rounds each weight gradient and bias to bf16, and SiLU before its product.
"""

import dataclasses
import math

import torch
import torch.nn.functional as functional
import transformers
from safetensors.torch import load_file


@dataclasses.dataclass
class Batch:
    """tokens::Batch: [rows, sequence] arrays. doc_begin: column at which the token's document begins."""

    input: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor
    position: torch.Tensor
    doc_begin: torch.Tensor

    def rows(self, begin, end):
        return Batch(**{key: value[begin:end] for key, value in vars(self).items()})

    def mask(self, window=None):
        """bool [rows, 1, queries, keys]: a query sees [doc_begin, itself], of these the last `window`; None where that
        is the plain triangle."""
        if not self.doc_begin.any() and window is None:
            return None
        column = torch.arange(self.input.shape[1])
        seen = (column[None, None, :] <= column[None, :, None]) & (column[None, None, :] >= self.doc_begin[:, :, None])
        if window is not None:
            seen = seen & (column[None, None, :] > column[None, :, None] - window)
        return seen[:, None]


FIELDS = [field.name for field in dataclasses.fields(Batch)]


def batch_of(tensors):
    """From arrays of boreal's types (int32, fp32) to PyTorch's (int64, fp32)."""
    return Batch(**{name: tensors[name].float() if name == "weight" else tensors[name].long() for name in FIELDS})


def load_batches(path):
    """A file of `boreal tokens batches`: one Batch for each leading index of [steps, rows, sequence]."""
    tensors = load_file(path)
    missing = [name for name in FIELDS if name not in tensors]
    if missing:
        raise SystemExit(f"{path}: no tensor {missing[0]}; it has {', '.join(sorted(tensors))}")
    steps = tensors["input"].shape[0]
    return [batch_of({name: tensors[name][step] for name in FIELDS}) for step in range(steps)]


def attention_of(config):
    """scaled_dot_product_attention has no soft cap of scores."""
    return "eager" if getattr(config, "attn_logit_softcapping", None) else "sdpa"


def load_model(folder):
    how = attention_of(transformers.AutoConfig.from_pretrained(folder))
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=how
    ).eval()


def rounded(weight):
    """The bf16 values of an fp32 weight, in fp32; the gradient passes through whole."""
    return weight + (weight.detach().bfloat16().float() - weight.detach())


class Twin:
    def __init__(self, model, dtype):
        self.model = model
        self.dtype = dtype
        self.hooks = []
        if dtype == "bf16":
            base = model.base_model
            for module in base.modules():
                if isinstance(module, torch.nn.Embedding):
                    self.hooks.append(module.register_forward_hook(lambda module, args, y: y.bfloat16()))
            rotary = getattr(base, "rotary_emb", None)
            if rotary is not None:
                self.hooks.append(rotary.register_forward_pre_hook(lambda module, args: (args[0].float(), *args[1:])))

    def close(self):
        """Gives the model back as it was."""
        for hook in self.hooks:
            hook.remove()

    def named_parameters(self):
        return dict(self.model.named_parameters())

    def masks(self, batch):
        """As the model takes them: one, or one for each kind of layer."""
        config = self.model.config
        window = getattr(config, "sliding_window", None)

        def shaped(mask):
            if mask is None or attention_of(config) != "eager":
                return mask
            return torch.where(mask, 0.0, torch.finfo(torch.float32).min)

        if window is None:
            return shaped(batch.mask())
        if getattr(config, "layer_types", None) is None:
            return shaped(batch.mask(window))
        whole = 2 * batch.input.shape[1]  # a window that hides nothing: a mask is there in any case
        return {
            "full_attention": shaped(batch.mask(whole)),
            "sliding_attention": shaped(batch.mask(window)),
        }

    def logits(self, batch):
        """fp32 [rows, sequence, vocab]."""
        feed = {"input_ids": batch.input, "attention_mask": self.masks(batch), "position_ids": batch.position}
        if self.dtype == "fp32":
            return self.model(**feed, use_cache=False).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = self.model.base_model(**feed, use_cache=False).last_hidden_state
        return functional.linear(hidden.bfloat16().float(), rounded(self.model.get_output_embeddings().weight))

    def loss_sum(self, batch):
        """Sum of weight * -log p of the target."""
        logits = self.logits(batch)
        loss = functional.cross_entropy(logits.flatten(0, 1), batch.target.flatten(), reduction="none")
        return (loss * batch.weight.flatten()).sum()

    def backward(self, batch, micro_rows=0):
        """Sets the gradients of the mean loss over the tokens that count; returns that loss."""
        self.model.zero_grad()
        weight = batch.weight.sum()
        micro_rows = micro_rows or batch.input.shape[0]
        total = 0.0
        for row in range(0, batch.input.shape[0], micro_rows):
            loss = self.loss_sum(batch.rows(row, row + micro_rows)) / weight
            loss.backward()
            total += loss.item()
        return total

    @torch.no_grad()
    def mean_loss(self, batches):
        total = sum(self.loss_sum(batch).item() for batch in batches)
        return total / sum(batch.weight.sum().item() for batch in batches)


class AdamW:
    """torch.optim.AdamW as boreal has it: weight decay on matrices alone, clipping by the global norm."""

    def __init__(self, twin, lr, betas, eps, weight_decay, clip):
        self.parameters = list(twin.model.parameters())
        self.clip = clip
        self.adamw = torch.optim.AdamW(
            [
                {"params": [p for p in self.parameters if p.ndim >= 2], "weight_decay": weight_decay},
                {"params": [p for p in self.parameters if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=lr,
            betas=tuple(betas),
            eps=eps,
        )

    def step(self, lr):
        """Returns the norm of the gradients before clipping."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.clip if self.clip > 0 else math.inf)
        for group in self.adamw.param_groups:
            group["lr"] = lr
        self.adamw.step()
        return norm.item()


def learning_rate(optim, step, steps):
    """src/optim/schedule.cc: the rate of step `step` (from 0) of `steps`; optim is the spec's node."""
    lr, warmup = optim["lr"], optim.get("warmup_steps", 0)
    if step < warmup:
        return lr * (step + 1) / warmup
    low = lr * optim.get("lr_min", 0.0)
    schedule = optim.get("schedule", "cosine")
    if schedule == "cosine":
        at = min(1.0, (step - warmup) / max(1, steps - warmup))
        return low + (lr - low) * 0.5 * (1 + math.cos(math.pi * at))
    if schedule == "wsd":
        span = max(1.0, optim.get("decay", 0.2) * steps)
        if steps - step < span:
            return low + (lr - low) * (steps - step) / span
    return lr


def relative_difference(a, b):
    """max|a - b| / max|b|; b is what is taken as true."""
    a, b = torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64)
    scale = b.abs().max().item()
    difference = (a - b).abs().max().item()
    return difference / scale if scale > 0 else difference
