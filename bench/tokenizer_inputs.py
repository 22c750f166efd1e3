#!/usr/bin/env python3
"""Writes what bench_tokenizer reads: a text and the vocabularies.

    python3 bench/tokenizer_inputs.py FOLDER [MB]

text.txt is prose, code, LaTeX and tables: the documentation, manual pages, C headers and Python
sources of this machine's Debian, and ../shared/data where it is there. The same machine gives the
same bytes. Kinds take turns, 64 KiB of each, so that any stretch of the file is a mixture.
gpt2.json, cl100k.json and llama3.json (cl100k's ranks, split and looked up as Llama 3 does) are made
of ../shared/data/tokenizers.
"""
import base64
import gzip
import io
import json
import pathlib
import shutil
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
CHUNK = 65536


def files(folder, suffixes):
    """The files below the folder, sorted; other languages' manual pages too."""
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name.endswith(suffixes):
            yield path


def text_of(path):
    data = path.read_bytes()
    if path.name.endswith(".gz"):
        data = gzip.decompress(data)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return ""


def exoplanets():
    archive = SHARED / "tables" / "open_exoplanet_systems.tar.gz"
    if not archive.is_file():
        return
    with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            if member.isfile():
                yield tar.extractfile(member).read().decode("utf-8", "ignore")


def kinds():
    """Streams of texts, one a kind."""
    shared = sorted((SHARED / "text").glob("*")) + sorted((SHARED / "tables").glob("*.csv"))
    tables = sorted((ROOT / "data").rglob("*.csv"))
    yield (text_of(p) for p in shared + tables)
    yield exoplanets()
    yield (text_of(p) for p in files("/usr/share/doc", (".gz", ".txt", "copyright", ".html", ".md")))
    yield (text_of(p) for p in files("/usr/share/man", (".gz",)))
    yield (text_of(p) for p in files("/usr/include", (".h", ".hpp", ".hh", ".tcc")))
    yield (text_of(p) for p in files("/usr/lib/python3.11", (".py",)))
    yield (text_of(p) for p in files("/usr/lib/python3", (".py", ".txt", ".rst", ".c", ".h")))
    yield (text_of(p) for p in files("/usr/share", (".tex", ".el", ".pl", ".pm", ".sty")))


def chunks(texts):
    """Of about CHUNK bytes, cut at line ends where there is one."""
    held = ""
    for text in texts:
        held += text
        while len(held) >= CHUNK:
            cut = held.rfind("\n", 0, CHUNK) + 1 or CHUNK
            yield held[:cut].encode()
            held = held[cut:]
    yield held.encode()


CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_alphabet():
    """The character of tokenizer.json for each byte."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def last_merge(token, ranks):
    """The two tokens that are left of it when only those before it exist."""
    parts = [bytes([b]) for b in token]
    while len(parts) > 2:
        joined = [ranks.get(a + b, len(ranks)) for a, b in zip(parts, parts[1:])]
        at = joined.index(min(joined))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def tokenizer_json(ranks, ignore_merges):
    """tokenizer.json of .tiktoken ranks."""
    alphabet = byte_alphabet()
    spell = lambda token: "".join(alphabet[b] for b in token)
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": CL100K}, "behavior": "Isolated", "invert": False}
    before = {}
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(token) > 1:
            merges.append([spell(part) for part in last_merge(token, before)])
        before[token] = rank
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
        "post_processor": None,
        "decoder": {**level, "use_regex": True},
        "model": {
            "type": "BPE",
            "ignore_merges": ignore_merges,
            "vocab": {spell(token): rank for token, rank in ranks.items()},
            "merges": merges,
        },
    }


def write_vocabularies(folder):
    shutil.copyfile(SHARED / "tokenizers" / "gpt2.json", folder / "gpt2.json")
    lines = gzip.decompress((SHARED / "tokenizers" / "cl100k_base.tiktoken.gz").read_bytes()).split()
    ranks = {base64.b64decode(t): int(r) for t, r in zip(lines[::2], lines[1::2])}
    for name, ignore_merges in (("cl100k", False), ("llama3", True)):
        (folder / f"{name}.json").write_text(json.dumps(tokenizer_json(ranks, ignore_merges)))


def write_text(path, limit):
    streams = [chunks(kind) for kind in kinds()]
    written = 0
    with open(path, "wb") as file:
        while streams and written < limit:
            for stream in list(streams):
                chunk = next(stream, None)
                if chunk is None:
                    streams.remove(stream)
                    continue
                file.write(chunk)
                written += len(chunk)
    print(f"{path}: {written} bytes", file=sys.stderr)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "text.txt", int(float(sys.argv[2] if len(sys.argv) > 2 else 128) * 1e6))
    write_vocabularies(folder)


if __name__ == "__main__":
    main()
