"""The amino acids against the data files of Debian's emboss-data.

    /usr/bin/python3 tests/facts/compare_emboss.py [data directory]

Emolwt.dat: average and monoisotopic masses of the residues; Emass.dat: molar masses of the free acids (its
residue masses of Phe and Met, 148.18 and 113.19, contradict Emolwt.dat and are not compared); Epk.dat: the pKa
of side chains in proteins.
"""

import pathlib
import sys

from facts import Comparison, load_table, skip

PATH = "/usr/share/EMBOSS/data"

def rows(path):
    """The lines of a data file that begin with one letter, as letter -> numbers."""
    out = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split("#")[0].split()
        if len(fields) < 2 or len(fields[0]) != 1 or not fields[0].isalpha():
            continue
        try:
            out[fields[0]] = [float(x) for x in fields[1:]]
        except ValueError:
            continue
    return out


def main():
    path = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else PATH)
    if not (path / "Emolwt.dat").exists():
        skip("emboss-data")
    residues, acids, pk = (rows(path / f) for f in ("Emolwt.dat", "Emass.dat", "Epk.dat"))
    comparison = Comparison("emboss-data")
    table = load_table("life/amino_acids")
    for row in table.rows:
        name, letter = row[table.record], row["one_letter_code"]
        if letter in residues:
            average, monoisotopic = residues[letter][:2]
            comparison.check(table, name, "residue_mass_Da", average)
            comparison.check(table, name, "monoisotopic_residue_mass_Da", monoisotopic)
        if letter in acids:
            comparison.check(table, name, "molar_mass_g_mol", acids[letter][0])
        if letter in pk:
            comparison.check(table, name, "pka_side_chain", pk[letter][0])
    comparison.finish()


if __name__ == "__main__":
    main()
