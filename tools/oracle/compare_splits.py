#!/usr/bin/env python3
"""Pieces and ids of boreal against those of Hugging Face tokenizers and tiktoken, string by string.

    python3 tools/oracle/compare_splits.py [--probe build/release/tests/text/text_probe]
        [--strings 100000] [--text FILE]... [--rows FILE]

The strings are seeded: random Unicode, and what wears a splitter down; then the texts of
../shared/data and --text in stretches of 16 KiB. For each split: its pieces, the ids of a small
vocabulary that Hugging Face trains with it, and the ids of what to_json() writes of that, read back
by Hugging Face. For gpt2, cl100k and o200k the same small vocabulary in tiktoken; the vocabularies of
../shared/data in both, on all of its texts. A row of the table counts the strings that differ.
"""

import argparse
import base64
import gzip
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

import comparison

os.environ["TOKENIZERS_PARALLELISM"] = "true"

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SPLITS = {
    "gpt2": [r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"],
    "words": [r"[\p{L}\p{M}]+|[^\p{L}\p{M}]"],
    "cl100k": [
        CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL
    ],
    "qwen2": [CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL],
    "o200k": [
        rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?|"
        rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?|"
        r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + TAIL
    ],
    "deepseek": [
        r"\p{N}{1,3}",
        "[一-龥\u3040-ゟ゠-ヿ]+",
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
        r"| ?[\p{P}\p{S}]+[\r\n]*|" + TAIL,
    ],
    "starcoder": [],
}

# Each is drawn as a whole or cut short.
PARTS = [
    "'s", "'S", "'t", "'re", "'RE", "'vE", "'ll", "'lL", "'m", "'d", "'\u017f", "'\u212a", "\u2019s", "'", "''",
    " ", "  ", "   ", "\t", "\n", "\r", "\r\n", "\n\n", " \n", "\n ", "\u00a0", "\u3000", "\u2003", "\u0085",
    "\u2028", "\x0b", "\x1c", "\u200b", "\ufeff", "\u200d", "\u200c", "1", "12", "123", "1234", "\u0663", "\u00b2",
    "\u00bd", "\u2167", "\uff11", "\u3007", "\U0001d7d8", "a", "A", "ab", "AB", "aB", "Ab", "abC", "ABc", "\u00e9", "\u00c9",
    "\u01c5", "\u02b0", "\u00aa", "\u0640", "\u0301", "\u0323", "\u0903", "\u20dd", "\u0915\u093f", "\u05d0\u05b0", "\u0e44\u0e17\u0e22",
    "\u65e5", "\u672c\u8a9e", "\u4e00", "\u9fa5", "\u9fa6", "\u3041", "\u309f", "\u3040", "\u3099", "\u309b", "\u30a0", "\u30fb", "\u30fc",
    "\u30ff", "\u3400", "\uac00", "\u1100\u1161", "\U00020000", "!", "!!", ".", ",", "-", "--", "/", "//", "\\", "{\\", "_", "$", "+=",
    "\u2014", "\u00a7", "\u20ac", "\u2200", "\u24b6", "\u203f", "\U0001f600", "\U0001f468\u200d\U0001f52c", "\x00", "\x01", "\x7f", "\u00ad",
    "\ue000", "\u0378", "\U0010ffff", "\u1c89", "\u1c8a", "\u0897", "\U00010d40", "\U0001c8d0", "<|endoftext|>", "HTTPResponse",
    "\\frac{1}{2}", "x_1^2", "don't", "WE'VE", "  if x:\n", "a/b\n/c",
]


def random_strings(count, seed):
    draw = random.Random(seed)
    points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    for _ in range(count):
        text = ""
        for _ in range(draw.randrange(1, 14)):
            kind = draw.randrange(10)
            if kind < 6:
                text += draw.choice(PARTS)
            elif kind == 6:
                text += draw.choice(PARTS) * draw.randrange(1, 40)
            elif kind == 7:
                text += "".join(chr(draw.randrange(0x20, 0x7F)) for _ in range(draw.randrange(1, 24)))
            elif kind == 8:
                text += chr(draw.choice(points[: draw.choice((0x100, 0x600, 0x3100, 0x10000, len(points)))]))
            else:
                text += draw.choice(PARTS)[:1]
        yield text


def every_character():
    """Each code point between others of several kinds, a few hundred a string."""
    points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    for around in ("", "a ", "A's"):
        for at in range(0, len(points), 512):
            yield around.join(map(chr, points[at : at + 512]))


def stretches(paths):
    for path in paths:
        text = path.read_bytes().decode()
        yield from (text[at : at + 16384] for at in range(0, len(text), 16384))


class Probe:
    def __init__(self, program):
        self.program = program

    def numbers(self, verb, what, texts):
        encoded = [text.encode() for text in texts]
        feed = b"".join(struct.pack("<I", len(text)) + text for text in encoded)
        out = subprocess.run([self.program, verb, what], input=feed, stdout=subprocess.PIPE, check=True).stdout
        at, answers = 0, []
        for _ in texts:
            (count,) = struct.unpack_from("<I", out, at)
            answers.append(list(struct.unpack_from(f"<{count}I", out, at + 4)))
            at += 4 + 4 * count
        return answers


def pre_tokenizer(name):
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=name in ("gpt2", "starcoder"))
    if name == "gpt2":
        return level
    if name == "starcoder":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), level])
    splits = [pre_tokenizers.Split(Regex(regex), "isolated") for regex in SPLITS[name]]
    return pre_tokenizers.Sequence([*splits, level])


def trained(name, texts, size=2000):
    tokenizer = Tokenizer(models.BPE(ignore_merges=name in ("cl100k", "o200k")))
    tokenizer.pre_tokenizer = pre_tokenizer(name)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    return tokenizer


def tiktoken_of(name, ranks):
    import tiktoken
    import tiktoken_ext.openai_public as public

    public.load_tiktoken_bpe = lambda *_, **__: {}  # only the patterns are wanted
    pattern = {
        "gpt2": lambda: public.r50k_pat_str,
        "cl100k": lambda: public.cl100k_base()["pat_str"],
        "o200k": lambda: public.o200k_base()["pat_str"],
    }[name]()
    return tiktoken.Encoding("compared", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def ranks_of(tokenizer):
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in plain]
    byte = {**{chr(b): b for b in plain}, **{chr(256 + i): b for i, b in enumerate(rest)}}
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    vocabulary = tokenizer.get_vocab()
    return {bytes(byte[c] for c in token): i for token, i in vocabulary.items() if token not in added}


def hf_ids(tokenizer, texts):
    tokenizer.encode_special_tokens = True
    return [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]


class Comparison:
    def __init__(self, table, probe, texts, folder):
        self.table, self.probe, self.texts, self.folder = table, probe, texts, folder

    def differ(self, what, figure, ours, theirs):
        wrong = [i for i, pair in enumerate(zip(ours, theirs)) if pair[0] != pair[1]]
        for i in wrong[:3]:
            print(f"{what}, {figure}: {self.texts[i][:200]!r}\n  {ours[i][:40]}\n  {theirs[i][:40]}", file=sys.stderr)
        self.table.add(what, f"{figure}: strings of {len(self.texts)} that differ", len(wrong), 0)

    def split(self, name):
        split = pre_tokenizer(name)
        theirs = [[len(piece) for piece, _ in split.pre_tokenize_str(text)] for text in self.texts]
        self.differ(f"split {name}", "pieces, HF", self.probe.numbers("pieces", name, self.texts), theirs)

    def vocabulary(self, what, tokenizer, tiktoken=None):
        path = self.folder / "tokenizer.json"
        tokenizer.save(str(path))
        ours = self.probe.numbers("ids", str(path), self.texts)
        self.differ(what, "ids, HF", ours, hf_ids(tokenizer, self.texts))
        written = self.folder / "written.json"
        written.write_bytes(subprocess.run([self.probe.program, "json", path], stdout=subprocess.PIPE, check=True).stdout)
        self.differ(what, "ids, HF of what boreal wrote", ours, hf_ids(Tokenizer.from_file(str(written)), self.texts))
        if tiktoken:
            encoding = tiktoken_of(tiktoken, ranks_of(tokenizer))
            self.differ(what, "ids, tiktoken", ours, encoding.encode_ordinary_batch(self.texts))


def cl100k_ranks():
    data = gzip.decompress((SHARED / "tokenizers" / "cl100k_base.tiktoken.gz").read_bytes())
    return {base64.b64decode(t): int(r) for t, r in (line.split() for line in data.splitlines())}


def compare_shared(compare):
    """The vocabularies of ../shared/data."""
    folder = SHARED / "tokenizers"
    compare.vocabulary("gpt2.json", Tokenizer.from_file(str(folder / "gpt2.json")), "gpt2")
    compare.vocabulary("neox_20b.json", Tokenizer.from_file(str(folder / "neox_20b.json")))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probe", default=str(ROOT / "build/release/tests/text/text_probe"))
    parser.add_argument("--strings", type=int, default=100000)
    parser.add_argument("--text", action="append", type=pathlib.Path, default=[])
    parser.add_argument("--only", help="one split")
    parser.add_argument("--rows", help="append the comparisons to this file (see comparison.py)")
    args = parser.parse_args()
    table = comparison.Table(args.rows)
    shared = sorted((SHARED / "text").glob("*"))
    texts = [*random_strings(args.strings, 1), *every_character()]
    whole = list(stretches(shared + args.text))
    with tempfile.TemporaryDirectory() as folder:
        compare = Comparison(table, Probe(args.probe), texts + whole[::8], pathlib.Path(folder))
        for name in SPLITS:
            if args.only not in (None, name):
                continue
            compare.split(name)
            small = trained(name, texts[: args.strings // 10] + whole[::8])
            compare.vocabulary(f"small {name}", small, name if name in ("gpt2", "cl100k", "o200k") else None)
        if args.only is None and SHARED.is_dir():
            compare_shared(Comparison(table, Probe(args.probe), texts + whole, pathlib.Path(folder)))
    return table.close()


if __name__ == "__main__":
    sys.exit(main())
