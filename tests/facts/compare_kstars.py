"""Compares physics/stars, physics/messier and physics/constellations with the data files of KStars."""

import os
import re
import sqlite3
import struct

from facts import Comparison, load_table, skip

FOLDER = "/usr/share/kstars"
GREEK = {"Alpha": "alp", "Beta": "bet", "Gamma": "gam", "Delta": "del", "Epsilon": "eps", "Zeta": "zet",
         "Eta": "eta", "Theta": "the", "Iota": "iot", "Kappa": "kap", "Lambda": "lam", "Mu": "mu", "Nu": "nu",
         "Xi": "xi", "Omicron": "omi", "Pi": "pi", "Rho": "rho", "Sigma": "sig", "Tau": "tau",
         "Upsilon": "ups", "Phi": "phi", "Chi": "chi", "Psi": "psi", "Omega": "ome"}
# KStars keeps one number for each kind of deep-sky object; our types are finer.
KINDS = {3: "open cluster", 4: "globular cluster", 5: "nebula", 6: "planetary nebula", 7: "supernova remnant",
         8: "galaxy", 13: "asterism", 17: "double star"}
LY_PER_PC = 3.261564


def read_stars():
    """Bayer name as KStars writes it -> list of stars with that name; from the two parallel files."""
    with open(f"{FOLDER}/namedstars.dat", "rb") as f:
        data = f.read()
    with open(f"{FOLDER}/starnames.dat", "rb") as f:
        names = f.read()
    count = (len(names) - 177) // 40
    start = len(data) - 32 * count
    stars = {}
    for i in range(count):
        raw = names[177 + 40 * i:177 + 40 * (i + 1)]
        bayer = raw[:8].split(b"\0")[0].decode("ascii", "replace")
        name = raw[8:].split(b"\0")[0].decode("ascii", "replace")
        ra, dec, _, _, parallax, _, mag, _, spectrum, _, _ = struct.unpack_from("<6i2h2s2B", data, start + 32 * i)
        star = {"ra": ra / 1e6, "dec": dec / 1e5, "parallax": parallax / 10, "mag": mag / 100,
                "spectrum": spectrum.decode("ascii", "replace").strip("\0 "), "name": name}
        stars.setdefault(bayer, []).append(star)
    return stars


def sexagesimal(text):
    """`06h45m` as 6.75, `-16d43m` as -16.7167."""
    m = re.fullmatch(r"([+-]?)(\d+)[hd](\d+)m", text)
    value = int(m.group(2)) + int(m.group(3)) / 60
    return -value if m.group(1) == "-" else value


def compare_stars(comparison, abbreviations):
    table = load_table("physics/stars")
    stars = read_stars()
    for row in table.rows:
        if not row["bayer"]:
            continue
        letter = row["bayer"].split(" ")[0]
        letter, _, digit = letter.partition("-")
        key = f"{GREEK[letter]:3s}{digit:1s}{abbreviations[row['constellation']]}"
        found = stars.get(key) or [s for d in "12" for s in stars.get(key[:3] + d + key[4:], [])]
        if row["bayer"].endswith(" C") or not found:
            continue
        star = min(found, key=lambda s: s["mag"])
        name = row["name"]
        comparison.check(table, name, "apparent_magnitude", star["mag"])
        comparison.check(table, name, "right_ascension", star["ra"], ours=sexagesimal(row["right_ascension"]))
        comparison.check(table, name, "declination", star["dec"], ours=sexagesimal(row["declination"]))
        if star["parallax"] >= 10:      # kept to 0.1 mas: no use for far stars
            comparison.check(table, name, "distance_ly", round(1000 / star["parallax"] * LY_PER_PC, 2))
        if star["spectrum"]:
            comparison.check(table, name, "spectral_type", star["spectrum"][:1], ours=row["spectral_type"][:1])


def compare_messier(comparison):
    table = load_table("physics/messier")
    base = sqlite3.connect(f"file:{FOLDER}/OpenNGC.kscat?mode=ro&immutable=1", uri=True)
    objects = {}
    query = "select type, magnitude, name, long_name from cat where name like 'M %'"
    for kind, magnitude, name, other in base.execute(query):
        objects[name] = (kind, magnitude, other)
    base.close()
    for row in table.rows:
        entry = objects.get("M " + row["name"][1:])
        if entry is None:
            continue
        kind, magnitude, other = entry
        ours = row["type"]
        if kind in KINDS:
            theirs = KINDS[kind]
            comparison.check(table, row["name"], "type", theirs, ours=theirs if theirs in ours else ours)
        if "NGC" in other or "IC" in other:
            listed = re.findall(r"\b(?:NGC|IC) \d+", other)
            comparison.check(table, row["name"], "ngc", row["ngc"] if row["ngc"] in listed else ";".join(listed))
        # Only open clusters: the other objects' magnitudes are mostly blue ones, ours are visual.
        if magnitude is not None and kind == 3:
            comparison.check(table, row["name"], "apparent_magnitude", magnitude)


def compare_constellations(comparison):
    table = load_table("physics/constellations")
    western = False
    with open(f"{FOLDER}/cnames.dat", encoding="utf-8") as f:
        for line in f:
            if line.startswith("C "):
                western = line.strip() == "C Western"
            elif western and line.strip():
                name = line[17:].strip().title()
                if name in table.by_name:
                    comparison.check(table, name, "abbreviation", line[13:16])
    return {row["name"]: row["abbreviation"] for row in table.rows}


def main():
    if not os.path.exists(f"{FOLDER}/namedstars.dat") or not os.path.exists(f"{FOLDER}/OpenNGC.kscat"):
        skip("kstars-data")
    comparison = Comparison("kstars")
    abbreviations = compare_constellations(comparison)
    compare_stars(comparison, abbreviations)
    compare_messier(comparison)
    comparison.finish()


if __name__ == "__main__":
    main()
