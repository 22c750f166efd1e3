"""Logits of llama.cpp and of boreal from the same GGUF file.

    python tools/oracle/compare_llama_cpp.py BOREAL FILE.gguf [TOKENS]

Needs llama-cpp-python. Prints the largest difference relative to the largest logit, the share of
positions with the same likeliest token, and both perplexities on the drawn ids.
"""
import ctypes
import json
import struct
import subprocess
import sys
import tempfile

import llama_cpp as ll
import numpy as np


def of_boreal(program, path, ids, folder):
    with open(folder + "/ids.txt", "w") as file:
        file.write(" ".join(map(str, ids)))
    out = folder + "/logits.safetensors"
    subprocess.run([program, "logits", "--model", path, "--ids", folder + "/ids.txt", "--to", out],
                   check=True)
    raw = open(out, "rb").read()
    (size,) = struct.unpack("<Q", raw[:8])
    entry = json.loads(raw[8:8 + size])["logits"]
    begin, end = entry["data_offsets"]
    return np.frombuffer(raw[8 + size:][begin:end], np.float32).reshape(entry["shape"])


def of_llama_cpp(path, ids, vocab):
    parameters = ll.llama_model_default_params()
    parameters.n_gpu_layers = 0
    model = ll.llama_model_load_from_file(path.encode(), parameters)
    assert model, "llama.cpp does not load " + path
    c = ll.llama_context_default_params()
    c.n_ctx = c.n_batch = c.n_ubatch = max(64, len(ids))
    context = ll.llama_init_from_model(model, c)
    batch = ll.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, i, 1
        batch.seq_id[i][0], batch.logits[i] = 0, True
    assert ll.llama_decode(context, batch) == 0
    return np.stack([np.ctypeslib.as_array(ll.llama_get_logits_ith(context, i), shape=(vocab,)).copy()
                     for i in range(len(ids))])


def perplexity(logits, ids):
    x = logits[:-1].astype(np.float64)
    x -= x.max(1, keepdims=True)
    lse = np.log(np.exp(x).sum(1))
    return float(np.exp(np.mean(lse - x[np.arange(len(ids) - 1), ids[1:]])))


def main():
    program, path = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 48
    silent = ll.llama_log_callback(lambda level, text, data: None)
    ll.llama_log_set(silent, ctypes.c_void_p(0))
    with tempfile.TemporaryDirectory() as folder:
        ids = [(7919 * i + 13) % 200 for i in range(count)]
        ours = of_boreal(program, path, ids, folder)
    theirs = of_llama_cpp(path, ids, ours.shape[1])
    print("largest difference %.3e, same likeliest token %.1f %%, perplexity %.5g and %.5g" % (
        np.abs(ours - theirs).max() / np.abs(theirs).max(),
        100 * np.mean(ours.argmax(1) == theirs.argmax(1)), perplexity(ours, ids),
        perplexity(theirs, ids)))


main()
