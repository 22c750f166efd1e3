"""Restriction enzymes and amino acids against Debian's python3-biopython.

    /usr/bin/python3 tests/facts/compare_biopython.py
"""

from facts import Comparison, load_table, skip


def cut_site(entry):
    """The recognition site with the mark of the cut in the upper strand."""
    site, cut = entry["site"], entry["fst5"]
    return site[:cut] + "^" + site[cut:]


def main():
    try:
        from Bio.Data import IUPACData
        from Bio.Restriction.Restriction_Dictionary import rest_dict
        from Bio.SeqUtils import ProtParamData
    except ImportError:
        skip("python3-biopython")
    comparison = Comparison("biopython")

    table = load_table("life/restriction_enzymes")
    for row in table.rows:
        name = row[table.record]
        entry = rest_dict.get(name)
        if entry is None:
            continue
        overhang = entry["ovhg"]
        comparison.check(table, name, "recognition_site", cut_site(entry))
        comparison.check(table, name, "site_length_bp", entry["size"])
        comparison.check(table, name, "overhang_length", abs(overhang))
        kind = "blunt" if overhang == 0 else "5' overhang" if overhang < 0 else "3' overhang"
        comparison.check(table, name, "overhang_type", kind)
        comparison.check(table, name, "overhang", entry["ovhgseq"])

    acids = load_table("life/amino_acids")
    for row in acids.rows:
        name, letter = row[acids.record], row["one_letter_code"]
        comparison.check(acids, name, "three_letter_code", IUPACData.protein_letters_1to3_extended[letter])
        comparison.check(acids, name, "molar_mass_g_mol", IUPACData.protein_weights.get(letter))
        if letter in ProtParamData.kd:
            comparison.check(acids, name, "hydropathy", ProtParamData.kd[letter])
    comparison.finish()


if __name__ == "__main__":
    main()
