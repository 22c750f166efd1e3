"""Compares physics/planets_and_moons, physics/stars and physics/constellations with Stellarium's data files."""

import os
import re

from facts import Comparison, load_table, skip

FOLDER = "/usr/share/stellarium"
AU_KM = 149597870.7
GREEK = dict(zip("αβγδεζηθικλμνξοπρστυφχψω",
                 ["Alpha", "Beta", "Gamma", "Delta", "Epsilon", "Zeta", "Eta", "Theta", "Iota", "Kappa", "Lambda",
                  "Mu", "Nu", "Xi", "Omicron", "Pi", "Rho", "Sigma", "Tau", "Upsilon", "Phi", "Chi", "Psi", "Omega"]))


def read_bodies():
    bodies = {}
    for name in ("ssystem_major.ini", "ssystem_minor.ini"):
        body = {}
        with open(f"{FOLDER}/data/{name}", encoding="latin-1") as f:
            for line in f:
                line = line.split("#")[0].strip()
                if line.startswith("["):
                    body = {}
                elif "=" in line:
                    key, value = (p.strip() for p in line.split("=", 1))
                    body[key] = value
                    if key == "name":
                        # The moons come first; asteroids share some of their names (Prometheus, Bianca).
                        bodies.setdefault(value, body)
    return bodies


def compare_bodies(comparison):
    table = load_table("physics/planets_and_moons")
    bodies = read_bodies()
    for row in table.rows:
        body = bodies.get(row["name"].removeprefix("the "))
        if body is None:
            continue
        moon = body.get("type") == "moon"
        if moon != (row["type"] == "moon"):
            continue
        name = row["name"]
        if moon:
            comparison.check(table, name, "parent", body["parent"])
        if "radius" in body:
            # Stellarium gives the equatorial radius and the flattening; ours is the mean radius.
            flattening = float(body.get("oblateness", 0))
            comparison.check(table, name, "radius_km", f"{float(body['radius']) * (1 - flattening) ** (1 / 3):.6g}")
        period = body.get("orbit_Period", body.get("orbit_visualization_period"))
        if period is not None and row["orbital_period_d"]:
            # Some of its elements count backwards, in a frame with the other pole.
            comparison.check(table, name, "orbital_period_d", f"{abs(float(period)):.6g}",
                             ours=row["orbital_period_d"].lstrip("-"))
        axis = body.get("orbit_SemiMajorAxis")
        if axis is not None:
            scale = 1 if moon else AU_KM
            comparison.check(table, name, "semi_major_axis_km", f"{float(axis) * scale:.6g}")
        rotation = body.get("rot_periode")
        if rotation is not None and float(rotation) != 0 and row["rotation_period_h"]:
            comparison.check(table, name, "rotation_period_h", f"{abs(float(rotation)):.6g}",
                             ours=row["rotation_period_h"].lstrip("-"))


def compare_stars(comparison):
    table = load_table("physics/stars")
    genitives = {r["abbreviation"]: r["genitive"] for r in load_table("physics/constellations").rows}
    numbers = {}
    with open(f"{FOLDER}/skycultures/western/star_names.fab", encoding="utf-8") as f:
        for line in f:
            m = re.match(r'\s*(\d+)\s*\|_\("([^"]+)"\)', line)
            if m:
                numbers.setdefault(m.group(2), []).append(m.group(1))
    bayer = {}
    with open(f"{FOLDER}/stars/default/name.fab", encoding="utf-8") as f:
        for line in f:
            m = re.match(r"\s*(\d+)\|([α-ω])([¹²³]?)_([A-Za-z]{3})\s*$", line)
            if m and m.group(4) in genitives:
                bayer.setdefault(m.group(1), []).append(f"{GREEK[m.group(2)]} {genitives[m.group(4)]}")
    for row in table.rows:
        if not row["hip"]:
            continue
        known = numbers.get(row["name"])
        if known:
            comparison.check(table, row["name"], "hip", row["hip"] if row["hip"] in known else known[0])
        if row["bayer"] and row["hip"] in bayer:
            ours = re.sub(r"-\d", "", row["bayer"])
            known = bayer[row["hip"]]       # a star on a border has two
            comparison.check(table, row["name"], "bayer", ours if ours in known else known[0], ours=ours)


def compare_constellations(comparison):
    table = load_table("physics/constellations")
    with open(f"{FOLDER}/skycultures/western/constellation_names.eng.fab", encoding="utf-8") as f:
        for line in f:
            m = re.match(r'\s*(\w+)\s+"([^"]*)"\s+_\("([^"]+)"\)', line)
            if m:
                name = m.group(2).replace("ö", "o")
                if name in table.by_name:
                    comparison.check(table, name, "abbreviation", m.group(1))


def main():
    if not os.path.exists(f"{FOLDER}/data/ssystem_major.ini"):
        skip("stellarium-data")
    comparison = Comparison("stellarium")
    compare_bodies(comparison)
    compare_stars(comparison)
    compare_constellations(comparison)
    comparison.finish()


if __name__ == "__main__":
    main()
