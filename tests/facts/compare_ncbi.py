"""The genetic codes and the codons of the amino acids against gc.prt of Debian's ncbi-data.

    /usr/bin/python3 tests/facts/compare_ncbi.py [gc.prt]
"""

import pathlib
import re
import sys

from facts import Comparison, load_table, skip

PATH = "/usr/share/ncbi/data/gc.prt"
BASES = "UCAG"
CODONS = [a + b + c for a in BASES for b in BASES for c in BASES]


def genetic_codes(text):
    """The tables of gc.prt: id -> dict with names, sgc, ncbieaa and sncbieaa."""
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    out = {}
    for entry in re.findall(r"\{([^{}]*)\}", text):
        names = [" ".join(n.split()) for n in re.findall(r'\bname\s+"([^"]*)"', entry)]
        out[int(re.search(r"\bid\s+(\d+)", entry).group(1))] = {
            "names": [p.strip() for p in names[0].split(";")],
            "sgc": names[1] if len(names) > 1 else None,
            "ncbieaa": re.search(r'\bncbieaa\s+"([^"]*)"', entry).group(1),
            "sncbieaa": re.search(r'\bsncbieaa\s+"([^"]*)"', entry).group(1)}
    return out


def where(string, letter):
    return ", ".join(c for c, x in zip(CODONS, string) if x == letter)


def main():
    path = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else PATH)
    if not path.exists():
        skip("ncbi-data")
    theirs = genetic_codes(path.read_text(encoding="utf-8"))
    standard = theirs[1]["ncbieaa"]
    comparison = Comparison("ncbi-data")

    table = load_table("life/genetic_codes")
    ours = {int(r["table_number"]): r[table.record] for r in table.rows}
    for number in sorted(set(theirs) - set(ours)):
        comparison.problems.append(f"life/genetic_codes: code {number} of ncbi-data is missing")
    for number, code in sorted(theirs.items()):
        if number not in ours:
            continue
        name = ours[number]
        shared = [a for a in table.aliases(table.row(name)) if a in code["names"]]
        comparison.check(table, name, table.record, "; ".join(code["names"]), ours="; ".join([name] + shared))
        comparison.check(table, name, "table_number", number)
        comparison.check(table, name, "sgc_name", code["sgc"])
        comparison.check(table, name, "translation", code["ncbieaa"])
        comparison.check(table, name, "starts", code["sncbieaa"])
        comparison.check(table, name, "start_codons", where(code["sncbieaa"], "M"))
        comparison.check(table, name, "start_codon_count", code["sncbieaa"].count("M"))
        comparison.check(table, name, "stop_codons", where(code["sncbieaa"], "*"))
        comparison.check(table, name, "differences", sum(a != b for a, b in zip(standard, code["ncbieaa"])))

    acids = load_table("life/amino_acids")
    for row in acids.rows:
        if row["one_letter_code"] in standard:
            codons = where(standard, row["one_letter_code"])
            comparison.check(acids, row[acids.record], "codons", codons)
            comparison.check(acids, row[acids.record], "codon_count", codons.count(",") + 1)
    comparison.finish()


if __name__ == "__main__":
    main()
