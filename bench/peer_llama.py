"""llama.cpp as a peer of bench_decode (bench/peer.h), through llama-cpp-python's plain calls.

    set up decode FILE SEQUENCES PROMPT NEW    "ok", or "error WHY"
    set up prefill FILE TOKENS
    run SECONDS                                seconds of one run

A run of decode takes the prompts in and then NEW - 1 tokens more of each sequence, greedily, as ours
does; the file is opened anew only when it changes.
"""
import ctypes
import sys
import time

import llama_cpp as ll

THREADS = int(sys.argv[1])
VOCAB = 32000


@ll.llama_log_callback
def silent(level, text, data):
    pass


def say(text):
    print(text, flush=True)


class Model:
    def __init__(self, path, sequences):
        parameters = ll.llama_model_default_params()
        parameters.n_gpu_layers = 0
        self.model = ll.llama_model_load_from_file(path.encode(), parameters)
        if not self.model:
            raise RuntimeError("llama.cpp does not load " + path)
        c = ll.llama_context_default_params()
        c.n_ctx = 512 * sequences
        c.n_batch = 512
        c.n_ubatch = 512
        c.n_seq_max = sequences
        c.n_threads = c.n_threads_batch = THREADS
        self.context = ll.llama_init_from_model(self.model, c)
        if not self.context:
            raise RuntimeError("no context")
        self.batch = ll.llama_batch_init(512, 0, 1)

    def close(self):
        ll.llama_batch_free(self.batch)
        ll.llama_free(self.context)
        ll.llama_model_free(self.model)

    def feed(self, rows):
        """rows: (token, position, sequence, whether its logits are wanted)."""
        b = self.batch
        b.n_tokens = len(rows)
        for i, (token, position, sequence, wanted) in enumerate(rows):
            b.token[i], b.pos[i], b.n_seq_id[i] = token, position, 1
            b.seq_id[i][0], b.logits[i] = sequence, wanted
        if ll.llama_decode(self.context, b) != 0:
            raise RuntimeError("llama_decode failed")

    def greedy(self, row):
        import numpy as np
        logits = ll.llama_get_logits_ith(self.context, row)
        return int(np.ctypeslib.as_array(logits, shape=(VOCAB,)).argmax())

    def clear(self):
        ll.llama_memory_clear(ll.llama_get_memory(self.context), True)


def decode(model, sequences, prompt, new):
    model.clear()
    rows, last = [], []
    for s in range(sequences):
        for i in range(prompt):
            rows.append(((7919 * (s + 1) + 31 * i) % VOCAB, i, s, i == prompt - 1))
        last.append(len(rows) - 1)
    model.feed(rows)
    tokens = [model.greedy(row) for row in last]
    for step in range(new - 1):
        model.feed([(t, prompt + step, s, True) for s, t in enumerate(tokens)])
        tokens = [model.greedy(s) for s in range(sequences)]


def prefill(model, count):
    model.clear()
    model.feed([((31 * i + 5) % VOCAB, i, 0, i == count - 1) for i in range(count)])
    model.greedy(count - 1)


def main():
    ll.llama_log_set(silent, ctypes.c_void_p(0))
    ll.llama_backend_init()
    model, opened, run = None, None, None
    for line in sys.stdin:
        words = line.split()
        try:
            if words[:1] == ["hello"]:
                say("ok")
            elif words[:2] == ["set", "up"]:
                kind, path = words[2], words[3]
                numbers = [int(w) for w in words[4:]]
                sequences = numbers[0] if kind == "decode" else 1
                if opened != (path, sequences):
                    if model is not None:
                        model.close()
                    model, opened = Model(path, sequences), (path, sequences)
                run = (lambda: decode(model, *numbers)) if kind == "decode" else (
                    lambda: prefill(model, *numbers))
                run()
                say("ok")
            elif words[:1] == ["run"]:
                least, times, start = float(words[1]), 0, time.perf_counter()
                while times == 0 or time.perf_counter() - start < least:
                    run()
                    times += 1
                say((time.perf_counter() - start) / times)
            else:
                say("error what is " + line.strip())
        except Exception as error:  # the bench prints it and goes on without a peer
            say("error " + str(error).replace("\n", " "))


main()
