#!/usr/bin/env python3
"""Makes the tokenizer goldens under tests/golden/ with Hugging Face tokenizers.

Small tokenizers trained by them on tokenizer_corpus.txt, their ids of tricky strings, digests of
the ids of the texts in ../shared/data with the tokenizers there. Run with the oracle environment
from the repository root; the last part is left as it is where ../shared/data is absent.
"""

import hashlib
import json
import pathlib
import struct

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

GOLDEN = pathlib.Path("tests/golden")
SHARED = pathlib.Path("../shared/data")
WORDS = r"[\p{L}\p{M}]+|[^\p{L}\p{M}]"
VOCAB = 640
BLOCK_BYTES = 65536

STRINGS = [
    "", " ", "  ", "   ", "\n", "\n\n", " \n ", "\r\n\r\n", "\t\t", " \t", "a", " a", "  a", "a ",
    "a  ", "a\n", "a \n b", "\n a", "x\u00a0y", "x\u2003\u2003y", "\u3000\u3000", "\u0085",
    "x\u200by", "x\u001cy", "\ufeffx", "\u0000\u0001", "don't we've I'm they'll you'd he's we're",
    "DON'T 'S 's 't 're 'x", "''s", " 's", "'", "' '", "it's'll", "\u2019s", "'\u017f", "abc123def",
    "12 345,678.90", "½²Ⅷ٣", "H₂O x³", "1.5e-10", "carbon-14.", "(quartz)", "M31:", "Vega, ",
    "uranium-235's", "...!?", "a,b;c", "$\\frac{1}{2}$", "f(x)=x**2", "----", "\u2014\u2014",
    "_a_b_", "a\u0301b", "e\u0301", "\u00e9", "\u0301\u0323x", "q\u0323\u0307", "q\u0307\u0323",
    "\u212b\u00c5A\u030a", "\u1100\u1161\u11a8\uac01", "\ufb01", "\u0958", "日本語 中文", "हिन्दी ไทย",
    "עִבְרִית", "العربية ٦", "😀👨\u200d🔬🏳\ufe0f\u200d🌈", "\U0001d400\U0010ffff\ue000",
    "\u1c89\u1c8a \u0897 \U00010d40", "<|endoftext|>", "a<|endoftext|>b",
    "<|endoftext|><|endoftext|>", "<|endoftext", "|endoftext|>", "  <|endoftext|>  ",
    "<|user|>hi<|end|>", "x <|end|> y", "x  <mask>  y", "<mask><mask>", " <mask> <mask> ",
    "a<mask>b", "basalt", "basalts basalt_ _basalt basalt, (basalt)", "ébasalt basalté",
    "cafe\u0301 caf\u00e9 cafe", "a    b     c      d", "    if x:\n        y", "a" * 70,
    "the" * 40, "=" * 130, " " * 75, "ab" * 33 + "\n" * 5, "TGCATGCC" * 20,
    "Quartz is a mineral. Its hardness is 7.", "Zoë's naïve café — “quoted” …",
]


def byte_level(regex=True, prefix=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)


def train(pattern, text):
    """What boreal's trainer must equal: same numbering of bytes, same ties."""
    tokenizer = Tokenizer(models.BPE())
    if pattern == "words":
        split = pre_tokenizers.Split(Regex(WORDS), "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level(regex=False)])
    else:
        tokenizer.pre_tokenizer = byte_level()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [text],
        trainers.BpeTrainer(
            vocab_size=VOCAB,
            min_frequency=2,
            special_tokens=["<|endoftext|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer


def with_added_tokens(text):
    """Every rule of added tokens, NFC, a blank in front, merges spelled the old way."""
    tokenizer = train("gpt2", text)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = byte_level(prefix=True)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in ("<|user|>", "<|end|>")])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, rstrip=True, normalized=False)])
    tokenizer.add_tokens([AddedToken("basalt", single_word=True)])
    tokenizer.add_tokens([AddedToken("cafe\u0301", normalized=True)])
    tokenizer.add_tokens([AddedToken(" " * n) for n in (4, 3, 2)])
    value = json.loads(tokenizer.to_str())
    value["model"]["merges"] = [" ".join(pair) for pair in value["model"]["merges"]]
    for key in ("type", "byte_fallback", "ignore_merges"):  # as early files
        del value["model"][key]
    del value["pre_tokenizer"]["use_regex"]
    return Tokenizer.from_str(json.dumps(value)), value


def ids_of(tokenizer, text, parse_special):
    tokenizer.encode_special_tokens = not parse_special
    return tokenizer.encode(text, add_special_tokens=False).ids


def write(name, value):
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    (GOLDEN / name).write_text(text.replace("],[", "],\n[").replace("},{", "},\n{") + "\n")


def string_ids(tokenizer):
    return {
        "ids": [ids_of(tokenizer, text, False) for text in STRINGS],
        "ids_special": [ids_of(tokenizer, text, True) for text in STRINGS],
    }


def make_small():
    text = (GOLDEN / "tokenizer_corpus.txt").read_text()
    strings = {"strings": STRINGS, "tokenizers": {}}
    for name in ("gpt2", "words"):
        tokenizer = train(name, text)
        write(f"tokenizer_{name}.json", json.loads(tokenizer.to_str()))
        strings["tokenizers"][f"tokenizer_{name}.json"] = string_ids(tokenizer)
    tokenizer, value = with_added_tokens(text)
    write("tokenizer_added.json", value)
    strings["tokenizers"]["tokenizer_added.json"] = string_ids(tokenizer)
    write("tokenizer_strings.json", strings)


def blocks_of(data):
    """Stretches of 64 KiB, cut between characters."""
    at = 0
    while at < len(data):
        end = min(at + BLOCK_BYTES, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[at:end]
        at = end


def digest(ids):
    return hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()[:16]


def make_shared():
    out = {}
    for name in ("gpt2.json", "neox_20b.json"):
        tokenizer = Tokenizer.from_file(str(SHARED / "tokenizers" / name))
        texts = {}
        for path in sorted((SHARED / "text").iterdir()):
            data = path.read_bytes()
            whole = ids_of(tokenizer, data.decode(), True)
            blocks = [ids_of(tokenizer, block.decode(), True) for block in blocks_of(data)]
            texts[path.name] = {
                "sha256": hashlib.sha256(data).hexdigest(),
                "ids": len(whole),
                "first": whole[:16],
                "digest": digest(whole),
                "blocks": [digest(ids) for ids in blocks],
            }
        out[name] = {"texts": texts, **string_ids(tokenizer)}
    write("tokenizer_shared.json", out)


if __name__ == "__main__":
    make_small()
    if SHARED.is_dir():
        make_shared()
