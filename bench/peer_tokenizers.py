"""Hugging Face tokenizers and tiktoken as peers of bench_tokenizer (bench/peer.h), by their plain calls.

    set up encode hf|tiktoken VOCABULARY TEXT    "ok", or "error WHY"
    set up decode hf|tiktoken VOCABULARY TEXT
    run SECONDS                                  seconds of one run

VOCABULARY is a tokenizer.json. A run goes once over all documents of the text (64 KiB each), in one
thread, each in a call of its own, as ours does.
"""
import json
import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

DOCUMENT_BYTES = 65536


def say(text):
    print(text, flush=True)


def documents(path):
    """Cut as bench/tokenizer.cc cuts them."""
    data = open(path, "rb").read()
    at = 0
    while at < len(data):
        end = min(at + DOCUMENT_BYTES, len(data))
        if end < len(data):
            end = data.rfind(b"\n", at, end) + 1 or end
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[at:end].decode()
        at = end


def hf(path):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(path)
    return (
        lambda text: tokenizer.encode(text, add_special_tokens=False),
        lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
        lambda ids: tokenizer.decode(ids, skip_special_tokens=False),
    )


def tiktoken(path):
    import tiktoken
    import tiktoken_ext.openai_public as public

    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in plain]
    byte = {**{chr(b): b for b in plain}, **{chr(256 + i): b for i, b in enumerate(rest)}}
    value = json.load(open(path))
    added = {token["content"] for token in value["added_tokens"]}
    vocabulary = value["model"]["vocab"]
    ranks = {bytes(byte[c] for c in t): i for t, i in vocabulary.items() if t not in added}
    pattern = public.r50k_pat_str
    if "gpt2" not in path:
        load = public.load_tiktoken_bpe
        public.load_tiktoken_bpe = lambda *_, **__: {}  # only its pattern is wanted
        pattern = public.cl100k_base()["pat_str"]
        public.load_tiktoken_bpe = load
    encoding = tiktoken.Encoding("peer", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return encoding.encode_ordinary, encoding.encode_ordinary, encoding.decode


def case(verb, library, vocabulary, text):
    encode, ids_of, decode = {"hf": hf, "tiktoken": tiktoken}[library](vocabulary)
    texts = list(documents(text))
    if verb == "encode":
        work, call = texts, encode
    else:
        work, call = [ids_of(t) for t in texts], decode

    def run():
        for one in work:
            call(one)

    return run


def main():
    run = None
    for line in sys.stdin:
        words = line.split()
        try:
            if words[:1] == ["hello"]:
                say("ok")
            elif words[:2] == ["set", "up"]:
                run = case(*words[2:])
                say("ok")
            elif words[:1] == ["run"]:
                start = time.perf_counter()
                run()
                say(time.perf_counter() - start)
            else:
                say("error what is " + line.strip())
        except Exception as error:  # the bench prints it and goes on without a peer
            say("error " + str(error).replace("\n", " "))


main()
