"""Compares the chemistry tables with pymatgen (Debian package python3-pymatgen).

The data files of the package are read directly: importing it needs many other packages and seconds.
"""

import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from facts import Comparison, load_table, skip

PYMATGEN = pathlib.Path("/usr/lib/python3/dist-packages/pymatgen")


# Symbols that tell the orientation of the axes -> symbol of the class.
ORIENTED = {"12/m1": "2/m", "-4m2": "-42m", "312": "32", "321": "32", "31m": "3m", "3m1": "3m", "-31m": "-3m",
            "-3m1": "-3m", "-62m": "-6m2"}


def number(text):
    """The leading number of '1811 K' or '10.8 kg m<sup>-3</sup>', None for 'no data' and for ranges."""
    m = re.match(r"\s*([0-9.]+)(?:\s|$)", str(text))
    return float(m.group(1)) if m else None


def compare_elements(comparison, data):
    table = load_table("chemistry/elements")
    for row in table.rows:
        entry = data.get(row["symbol"])
        if entry is None:
            continue
        name = row["name"]
        theirs = entry["Name"].lower()
        comparison.check(table, name, "name", name if theirs in table.aliases(row) else theirs)
        comparison.check(table, name, "atomic_number", entry["Atomic no"])
        if row["standard_atomic_weight"]:
            comparison.check(table, name, "standard_atomic_weight", entry["Atomic mass"])
        comparison.check(table, name, "melting_point_K", number(entry.get("Melting point")))
        comparison.check(table, name, "boiling_point_K", number(entry.get("Boiling point")))
        density = number(entry.get("Density of solid"))
        if density is not None and row["density_g_cm3"] and float(row["density_g_cm3"]) > 0.1:
            comparison.check(table, name, "density_g_cm3", f"{density / 1000:.4g}")
        electronegativity = entry.get("X")
        if isinstance(electronegativity, (int, float)) and electronegativity == electronegativity:   # not NaN
            comparison.check(table, name, "electronegativity", electronegativity)
        energies = entry.get("Ionization energies") or [None]
        comparison.check(table, name, "ionization_energy_eV", energies[0])
        comparison.check(table, name, "electron_affinity_eV", entry.get("Electron affinity"))
        comparison.check(table, name, "thermal_conductivity_W_mK", number(entry.get("Thermal conductivity")))
        radius = entry.get("Van der waals radius")
        if isinstance(radius, (int, float)) and row["block"] in "sp":
            # Bondi's radii of metals that form linear complexes are another quantity than the package's.
            comparison.check(table, name, "van_der_waals_radius_pm", f"{radius * 100:.4g}")
        structure = re.sub(r"</?su[pb]>", "", str(entry.get("Electronic structure", ""))).replace(".", " ")
        if re.match(r"(\[|1s)", structure):
            comparison.check(table, name, "electron_configuration", structure.split(" (")[0].strip())


def compare_spacegroups(comparison, symmetry):
    table = load_table("chemistry/spacegroups")
    groups = {}
    for symbol, entry in symmetry["space_group_encoding"].items():
        groups.setdefault(symbol.replace("_", ""), entry)
    abbreviated = {k.replace("_", ""): v.replace("_", "")
                   for k, v in symmetry["abbreviated_spacegroup_symbols"].items()}
    for row in table.rows:
        name = row["symbol"]
        plain = name.replace("_", "")
        symbol = plain if plain in groups else abbreviated.get(plain, "")
        if symbol not in groups:
            comparison.check(table, name, "symbol", "absent")
            continue
        entry = groups[symbol]
        comparison.check(table, name, "number", entry["int_number"])
        # A rhombohedral group stands there on rhombohedral axes, here on hexagonal ones with three lattice points.
        comparison.check(table, name, "order", entry["order"] * (3 if symbol.startswith("R") else 1))
        point_group = ORIENTED.get(entry["point_group"], entry["point_group"])
        comparison.check(table, name, "point_group", point_group)
        laue = entry["patterson_symmetry"].split(" ")[0][1:]
        comparison.check(table, name, "laue_class", ORIENTED.get(laue, laue))


def compare_molar_masses(comparison, data, name):
    """Formula and molar mass agree: the mass is summed with the package's atomic masses."""
    def mass(formula):
        total = 0.0
        for m in re.finditer(r"\(([^()]*)\)(\d*)|([A-Z][a-z]?)(\d*)", formula):
            unit = mass(m.group(1)) if m.group(1) is not None else data[m.group(3)]["Atomic mass"]
            total += unit * int(m.group(2) or m.group(4) or 1)
        return total

    table = load_table(name)
    for row in table.rows:
        if row["second_source"] == "pymatgen":
            comparison.check(table, row["name"], "molar_mass_g_mol", f"{mass(row['formula']):.5g}")


def main():
    if not (PYMATGEN / "core" / "periodic_table.json").exists():
        skip("pymatgen")
    data = json.loads((PYMATGEN / "core" / "periodic_table.json").read_text(encoding="utf-8"))
    symmetry = json.loads((PYMATGEN / "symmetry" / "symm_data.json").read_text(encoding="utf-8"))
    comparison = Comparison("pymatgen")
    compare_elements(comparison, data)
    compare_spacegroups(comparison, symmetry)
    compare_molar_masses(comparison, data, "chemistry/compounds")
    compare_molar_masses(comparison, data, "chemistry/solvents")
    comparison.finish()


main()
