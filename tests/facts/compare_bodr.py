"""Compares the chemistry tables with the Blue Obelisk Data Repository (Debian package bodr)."""

import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from facts import Comparison, load_table, skip

BODR = pathlib.Path("/usr/share/bodr")
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "y": 31556926.0}


def local(tag):
    return tag.rsplit("}", 1)[-1]


def entries(path, tag):
    """Yields for each `tag` element its attributes and a dict: dictRef without prefix -> (text, units)."""
    for element in ElementTree.parse(path).getroot().iter():
        if local(element.tag) != tag:
            continue
        values = {}
        for child in element:
            if local(child.tag) == "transform":
                continue
            key = child.get("dictRef", "").replace("bo:", "")
            values.setdefault(key, (child.get("value") or (child.text or "").strip(), child.get("units", "")))
        yield element.attrib, values


def compare_elements(comparison):
    table = load_table("chemistry/elements")
    by_symbol = {row["symbol"]: row for row in table.rows}
    plain = [("atomicNumber", "atomic_number"), ("period", "period"), ("periodTableBlock", "block"),
             ("mass", "standard_atomic_weight"), ("meltingpoint", "melting_point_K"),
             ("boilingpoint", "boiling_point_K"), ("electronegativityPauling", "electronegativity"),
             ("ionization", "ionization_energy_eV"), ("electronAffinity", "electron_affinity_eV"),
             ("discoveryDate", "discovery_year")]
    for _, values in entries(BODR / "elements.xml", "atom"):
        row = by_symbol.get(values["symbol"][0])
        if row is None:
            continue                                    # the dummy atom
        name = row["name"]
        theirs = values["name"][0].lower()
        comparison.check(table, name, "name", name if theirs in table.aliases(row) else theirs)
        for key, column in plain:
            value = values.get(key, ("", ""))[0]
            if value == "0" and key in ("discoveryDate", "ionization", "electronAffinity"):
                continue                                # known since antiquity; not known
            comparison.check(table, name, column, value)
        configuration = values.get("electronicConfiguration", ("", ""))[0]
        configuration = re.sub(r"^(He|Ne|Ar|Kr|Xe|Rn)\b", r"[\1]", configuration)
        comparison.check(table, name, "electron_configuration", " ".join(configuration.split()))


def compare_isotopes(comparison):
    table = load_table("chemistry/isotopes")
    by_symbol = {row["symbol"]: row for row in table.rows}
    for attributes, values in entries(BODR / "isotopes.xml", "isotope"):
        row = by_symbol.get(attributes["number"] + attributes["elementType"])
        if row is None:
            continue
        name = row["name"]
        comparison.check(table, name, "atomic_number", values["atomicNumber"][0])
        comparison.check(table, name, "neutron_number", int(attributes["number"]) - int(values["atomicNumber"][0]))
        comparison.check(table, name, "atomic_mass_u", values["exactMass"][0])
        comparison.check(table, name, "natural_abundance_percent", values.get("relativeAbundance", ("", ""))[0])
        comparison.check(table, name, "spin_parity", values.get("spin", ("", ""))[0])
        half_life, unit = values.get("halfLife", ("", ""))
        if half_life and row["half_life"]:
            scale = SECONDS["y"] if unit == "units:y" else 1.0
            theirs = float(half_life) * scale / SECONDS[row["half_life_unit"]]
            comparison.check(table, name, "half_life", f"{theirs:.4g}")


def compare_spacegroups(comparison):
    """The symbol that stands for the standard setting there, and the order counted from its operations."""
    table = load_table("chemistry/spacegroups")
    listed = {}
    for element in ElementTree.parse(BODR / "space-groups.xml").getroot():
        symbols = {element.get(k, "").replace(" ", "").split(":")[0] for k in ("HM", "HMs")} - {""}
        for symbol in symbols:
            listed.setdefault((int(element.get("id")), symbol), len(element))
    for row in table.rows:
        number = int(row["number"])
        candidates = [row["symbol"].replace("_", "")] + table.aliases(row)
        for symbol in candidates:
            if (number, symbol) in listed:
                comparison.check(table, row["symbol"], "symbol", row["symbol"])
                comparison.check(table, row["symbol"], "order", listed[number, symbol])
                break
        else:
            others = sorted(s for n, s in listed if n == number)
            comparison.check(table, row["symbol"], "symbol", " ".join(others[:3]) or "absent")


def main():
    if not (BODR / "elements.xml").exists():
        skip("bodr")
    comparison = Comparison("bodr")
    compare_elements(comparison)
    compare_isotopes(comparison)
    compare_spacegroups(comparison)
    comparison.finish()


main()
