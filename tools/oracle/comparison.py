#!/usr/bin/env python3
"""Rows of comparisons, and the one table that is printed of them.

A row is a JSON line {what, figure, reached, bound, ok}. Run as a program it prints the table of a file of rows, the
files of GoogleTest's JSON output among them (each recorded property "x" that has an "x_bound"), and exits 1 if a row
is not ok or there is none.
"""

import argparse
import json
import pathlib
import sys


class Table:
    """Collects rows; with a path they are appended there, else close() prints them."""

    def __init__(self, path=None):
        self.path = path
        self.rows = []

    def add(self, what, figure, reached, bound):
        self.rows.append(
            {"what": what, "figure": figure, "reached": reached, "bound": bound, "ok": bool(reached <= bound)}
        )

    def close(self):
        if self.path:
            with open(self.path, "a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in self.rows)
        else:
            print_table(self.rows)
        return 0 if self.rows and all(row["ok"] for row in self.rows) else 1


def rows_of_gtest(document):
    """The properties that tests recorded, and their failures."""
    rows = []
    tests = [test for suite in document["testsuites"] for test in suite["testsuite"]]
    for test in tests:
        name, _, parameter = test["name"].rpartition("/")
        what = f"boreal {parameter}"
        for key, value in test.items():
            if key + "_bound" in test:
                reached, bound = float(value), float(test[key + "_bound"])
                rows.append({"what": what, "figure": key, "reached": reached, "bound": bound, "ok": reached <= bound})
        if test.get("failures"):
            rows.append({"what": what, "figure": f"failed: {name}", "reached": 1, "bound": 0, "ok": False})
    return rows


def read_rows(path):
    text = pathlib.Path(path).read_text(encoding="utf-8")
    if text.lstrip().startswith("{\n"):
        return rows_of_gtest(json.loads(text))
    return [json.loads(line) for line in text.splitlines()]


def print_table(rows):
    width = {key: max([len(key)] + [len(row[key]) for row in rows]) for key in ("what", "figure")}
    print(f"{'what':{width['what']}}  {'figure':{width['figure']}}  {'reached':>9}  {'bound':>9}")
    for row in rows:
        names = f"{row['what']:{width['what']}}  {row['figure']:{width['figure']}}"
        print(f"{names}  {row['reached']:9.2e}  {row['bound']:9.2e}{'' if row['ok'] else '  FAILED'}")
    failed = sum(not row["ok"] for row in rows)
    print(f"{len(rows)} comparisons, {failed} outside their bound")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    rows = [row for path in parser.parse_args().files for row in read_rows(path)]
    print_table(rows)
    return 0 if rows and all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
