"""Compares physics/constants and the lepton and nucleon masses of physics/particles with scipy.constants.

The table holds the CODATA 2022 values; Debian 12's scipy 1.10 carries CODATA 2018. Most values agree to 1e-8,
which is the tolerance; the ones that the 2022 adjustment moved further are listed in data/differences.csv.
"""

import sys

from facts import Comparison, load_table, skip

try:
    from scipy.constants import physical_constants
except ImportError:
    skip("scipy")

# Names that the replacements below do not turn into CODATA's own.
NAMES = {
    "caesium hyperfine transition frequency": "hyperfine transition frequency of Cs-133",
    "Rydberg frequency": "Rydberg constant times c in Hz",
    "Rydberg energy": "Rydberg constant times hc in eV",
    "electron gyromagnetic ratio in MHz/T": "electron gyromag. ratio in MHz/T",
    "lattice spacing of ideal silicon 220": "lattice spacing of ideal Si (220)",
    "Loschmidt constant": "Loschmidt constant (273.15 K, 101.325 kPa)",
    "molar volume of ideal gas": "molar volume of ideal gas (273.15 K, 101.325 kPa)",
    "Sackur-Tetrode constant": "Sackur-Tetrode constant (1 K, 100 kPa)",
    "tau mass energy equivalent": "tau energy equivalent",
}
PARTICLES = {
    "the electron": "electron mass energy equivalent in MeV",
    "the muon": "muon mass energy equivalent in MeV",
    "the tau lepton": "tau energy equivalent",
    "the proton": "proton mass energy equivalent in MeV",
    "the neutron": "neutron mass energy equivalent in MeV",
}


def codata_name(name, unit):
    name = name.removeprefix("the ")
    if name in NAMES:
        return NAMES[name]
    name = name.replace("magnetic moment", "mag. mom.").replace("gyromagnetic", "gyromag.")
    name = name.replace("magnetic", "mag.").replace("dipole moment", "dipole mom.")
    name = name.replace("quadrupole moment", "quadrupole mom.").replace("mag.izability", "magnetizability")
    if name.endswith("energy equivalent") and unit == "MeV":
        name += " in MeV"
    return name


def main():
    if physical_constants["electron mass"][0] != 9.1093837015e-31:
        print("skipped: package scipy carries another edition than CODATA 2018")
        sys.exit(77)
    comparison = Comparison("scipy")
    constants = load_table("physics/constants")
    for row in constants.rows:
        entry = physical_constants.get(codata_name(row["name"], row["unit"]))
        if entry is None:
            continue
        value, unit, _ = entry
        comparison.check(constants, row["name"], "value", value)
        comparison.check(constants, row["name"], "unit", unit)
    particles = load_table("physics/particles")
    for name, key in PARTICLES.items():
        comparison.check(particles, name, "mass_MeV", physical_constants[key][0])
    comparison.finish()


if __name__ == "__main__":
    main()
