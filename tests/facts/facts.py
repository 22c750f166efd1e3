"""Reading the shipped tables and comparing them with a second source.

Shared by the tests/facts/compare_*.py scripts; standard library only.

    from facts import Comparison, load_table
    table = load_table("physics/constants")
    comparison = Comparison("scipy")
    comparison.check(table, "speed of light in vacuum", "value", 299792458.0)
    comparison.finish()

The YAML reader understands exactly the subset that the table descriptions use: `key: value` lines with
plain or quoted scalars, flow lists `[a, b]`, the block `sources:` of indented `id: citation` lines and
the block `columns:` of indented `- {key: value, ...}` flow mappings. Anything else is an error.
"""

import csv
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DATA = ROOT / "data"

TABLE_KEYS = {"table", "title", "tranche", "licence", "kind", "record", "identifiers", "aliases",
              "second_source", "sources", "columns"}
REQUIRED_KEYS = TABLE_KEYS - {"aliases"}
COLUMN_KEYS = {"name", "property", "unit", "unit_column", "source", "tolerance", "tolerance_abs", "role"}
DIFFERENCE_COLUMNS = ["table", "row", "column", "ours", "theirs", "package", "believed", "primary_source"]
SKIPPED = 77


class FactsError(Exception):
    """A table, its description or the list of differences is malformed."""


# ---------------------------------------------------------------------------------------- YAML subset

_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "/": "/", "0": "\0"}


def _scan_quoted(text, at, where):
    """The quoted scalar that starts at text[at]; returns (value, index after the closing quote)."""
    quote = text[at]
    out = []
    i = at + 1
    while i < len(text):
        c = text[i]
        if quote == "'" and c == "'":
            if text[i + 1:i + 2] == "'":
                out.append("'")
                i += 2
                continue
            return "".join(out), i + 1
        if quote == '"' and c == '"':
            return "".join(out), i + 1
        if quote == '"' and c == "\\":
            e = text[i + 1:i + 2]
            if e not in _ESCAPES or e == "":
                raise FactsError(f"{where}: unknown escape \\{e}")
            out.append(_ESCAPES[e])
            i += 2
            continue
        out.append(c)
        i += 1
    raise FactsError(f"{where}: quote is not closed")


def _scan_value(text, at, stops, where):
    """A scalar or a flow list at text[at], ended by one of `stops` or the end of the text."""
    while at < len(text) and text[at] == " ":
        at += 1
    if at < len(text) and text[at] in "\"'":
        value, at = _scan_quoted(text, at, where)
    elif at < len(text) and text[at] == "[":
        value = []
        at += 1
        while True:
            while at < len(text) and text[at] == " ":
                at += 1
            if at >= len(text):
                raise FactsError(f"{where}: list is not closed")
            if text[at] == "]":
                at += 1
                break
            item, at = _scan_value(text, at, ",]", where)
            value.append(item)
            if at < len(text) and text[at] == ",":
                at += 1
    else:
        start = at
        while at < len(text) and text[at] not in stops:
            if text[at] == "#" and at > start and text[at - 1] == " ":
                break
            at += 1
        value = text[start:at].strip()
    while at < len(text) and text[at] == " ":
        at += 1
    return value, at


def _rest_is_empty(text, at, where):
    rest = text[at:].strip()
    if rest and not rest.startswith("#"):
        raise FactsError(f"{where}: unexpected text {rest!r}")


def _parse_flow_mapping(text, where):
    if not text.startswith("{"):
        raise FactsError(f"{where}: expected a flow mapping")
    out = {}
    at = 1
    while True:
        while at < len(text) and text[at] == " ":
            at += 1
        if at >= len(text):
            raise FactsError(f"{where}: mapping is not closed")
        if text[at] == "}":
            at += 1
            break
        m = re.compile(r"([A-Za-z_]+)\s*:(?=[ ])").match(text, at)
        if not m:
            raise FactsError(f"{where}: expected 'key: value' at {text[at:at + 20]!r}")
        key = m.group(1)
        if key in out:
            raise FactsError(f"{where}: key {key} occurs twice")
        out[key], at = _scan_value(text, m.end(), ",}", where)
        if at < len(text) and text[at] == ",":
            at += 1
        elif at < len(text) and text[at] != "}":
            raise FactsError(f"{where}: unexpected text {text[at:at + 20]!r}")
    _rest_is_empty(text, at, where)
    return out


def parse_yaml(text, name="<yaml>"):
    """The description of one table as a dict; scalars stay strings."""
    out = {}
    block = None
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{name}:{number}"
        if "\t" in line:
            raise FactsError(f"{where}: tab")
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        indented = line[0] == " " or (line.startswith("- ") and block == "columns")
        if not indented:
            m = re.match(r"([a-z_]+):(?: +|$)", line)
            if not m:
                raise FactsError(f"{where}: expected 'key: value'")
            key = m.group(1)
            if key not in TABLE_KEYS:
                raise FactsError(f"{where}: unknown key {key}")
            if key in out:
                raise FactsError(f"{where}: key {key} occurs twice")
            if key == "sources":
                block, out[key] = key, {}
                _rest_is_empty(line, m.end(), where)
            elif key == "columns":
                block, out[key] = key, []
                _rest_is_empty(line, m.end(), where)
            else:
                block = None
                out[key], at = _scan_value(line, m.end(), "", where)
                _rest_is_empty(line, at, where)
        elif block == "sources":
            m = re.match(r" +([A-Za-z0-9_.-]+): +", line)
            if not m:
                raise FactsError(f"{where}: expected 'id: citation'")
            if m.group(1) in out["sources"]:
                raise FactsError(f"{where}: source {m.group(1)} occurs twice")
            out["sources"][m.group(1)], at = _scan_value(line, m.end(), "", where)
            _rest_is_empty(line, at, where)
        elif block == "columns":
            if not stripped.startswith("- "):
                raise FactsError(f"{where}: expected '- {{...}}'")
            out["columns"].append(_parse_flow_mapping(stripped[2:].strip(), where))
        else:
            raise FactsError(f"{where}: unexpected indentation")
    return out


# --------------------------------------------------------------------------------------------- tables

class Table:
    """One table: `.rows` (dicts), `.columns` (column name -> its YAML entry), `.meta` (the YAML file)."""

    def __init__(self, path, meta, header, rows):
        self.path = path
        self.meta = meta
        self.header = header
        self.rows = rows
        self.record = meta["record"]
        self.columns = {c["name"]: c for c in meta["columns"]}
        self.by_name = {r[self.record]: r for r in rows}

    @property
    def name(self):
        return self.meta["table"]

    def row(self, name):
        return self.by_name[name]

    def aliases(self, row):
        column = self.meta.get("aliases")
        return [a.strip() for a in row[column].split(";") if a.strip()] if column else []


def _check_meta(meta, path):
    missing = REQUIRED_KEYS - set(meta)
    if missing:
        raise FactsError(f"{path}: missing {', '.join(sorted(missing))}")
    if not isinstance(meta["identifiers"], list):
        raise FactsError(f"{path}: identifiers is not a list")
    for column in meta["columns"]:
        unknown = set(column) - COLUMN_KEYS
        if unknown:
            raise FactsError(f"{path}: column {column.get('name')}: unknown {', '.join(sorted(unknown))}")
        if "name" not in column:
            raise FactsError(f"{path}: a column has no name")
        name = column["name"]
        if (column.get("role") == "note") == ("property" in column):
            raise FactsError(f"{path}: column {name}: exactly one of property and 'role: note'")
        if "role" in column and column["role"] != "note":
            raise FactsError(f"{path}: column {name}: role {column['role']}")
        if "property" in column and "source" not in column:
            raise FactsError(f"{path}: column {name}: no source")
        if "source" in column and column["source"] not in meta["sources"]:
            raise FactsError(f"{path}: column {name}: source {column['source']} is not described")
        if "unit" in column and "unit_column" in column:
            raise FactsError(f"{path}: column {name}: both unit and unit_column")
        for key in ("tolerance", "tolerance_abs"):
            if key in column:
                column[key] = float(column[key])


def load_table(name):
    """The table `tranche/table`, for instance load_table("chemistry/elements")."""
    base = DATA / name
    yaml_path = base.with_suffix(".yaml")
    csv_path = base.with_suffix(".csv")
    meta = parse_yaml(yaml_path.read_text(encoding="utf-8"), f"{name}.yaml")
    _check_meta(meta, f"{name}.yaml")
    if f"{meta['tranche']}/{meta['table']}" != name:
        raise FactsError(f"{name}.yaml: describes {meta['tranche']}/{meta['table']}")
    with open(csv_path, encoding="utf-8", newline="") as f:
        lines = list(csv.reader(f, strict=True))
    header, body = lines[0], lines[1:]
    special = [meta["record"], meta["second_source"]] + ([meta["aliases"]] if "aliases" in meta else [])
    described = [c["name"] for c in meta["columns"]]
    if [h for h in header if h not in special] != described:
        raise FactsError(f"{name}: the columns of the CSV and of the YAML differ: {header} / {described}")
    if len(set(header)) != len(header) or not set(special) <= set(header):
        raise FactsError(f"{name}: a column is missing or occurs twice")
    for identifier in meta["identifiers"]:
        if identifier not in described:
            raise FactsError(f"{name}: identifier {identifier} is no column")
    for column in meta["columns"]:
        if "unit_column" in column and column["unit_column"] not in described:
            raise FactsError(f"{name}: unit column {column['unit_column']} is no column")
    rows = []
    seen = set()
    for number, cells in enumerate(body, 2):
        if len(cells) != len(header):
            raise FactsError(f"{name}.csv: record {number} has {len(cells)} cells, not {len(header)}")
        row = dict(zip(header, cells))
        if row[meta["record"]] in seen or not row[meta["record"]]:
            raise FactsError(f"{name}.csv: record {number}: name {row[meta['record']]!r} is empty or occurs twice")
        seen.add(row[meta["record"]])
        rows.append(row)
    return Table(csv_path, meta, header, rows)


def all_tables():
    """The names of all tables, sorted."""
    return sorted(f"{p.parent.name}/{p.stem}" for p in DATA.glob("*/*.yaml"))


# ----------------------------------------------------------------------------------------- comparison

def _number(value):
    if isinstance(value, (int, float)):
        return float(value)
    try:
        return float(str(value).strip())
    except ValueError:
        return None


def load_differences():
    path = DATA / "differences.csv"
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as f:
        lines = list(csv.reader(f, strict=True))
    if not lines or lines[0] != DIFFERENCE_COLUMNS:
        raise FactsError("differences.csv: unexpected columns")
    out = []
    for number, cells in enumerate(lines[1:], 2):
        if len(cells) != len(DIFFERENCE_COLUMNS):
            raise FactsError(f"differences.csv: record {number} has {len(cells)} cells")
        out.append(dict(zip(DIFFERENCE_COLUMNS, cells)))
    return out


def skip(package):
    """Ends the script as skipped, because the package is not installed."""
    print(f"skipped: package {package} is not installed")
    sys.exit(SKIPPED)


class Comparison:
    """Counts the values compared with one package and holds the differences against the listed ones."""

    def __init__(self, package):
        self.package = package
        self.compared = 0
        self.rows = set()          # (table, row) compared in at least one column
        self.tables = {}
        self.found = {}            # (table, row, column) -> (ours, theirs)
        self.listed = {}
        self.problems = []
        for d in load_differences():
            if d["package"] == package:
                key = (d["table"], d["row"], d["column"])
                if key in self.listed:
                    self.problems.append(f"{'/'.join(key)}: listed twice in differences.csv")
                self.listed[key] = d

    @staticmethod
    def _key(table):
        return f"{table.meta['tranche']}/{table.name}"

    def check(self, table, row_name, column, theirs, ours=None):
        """Compares one cell; numbers with the column's tolerance, other values as text.

        An empty cell of ours is not compared. `ours` replaces the cell's text where it has to be converted first.
        Returns True if the values agree, False if not, None if there was nothing to compare.
        """
        row = table.row(row_name)
        cell = row[column] if ours is None else ours
        if cell == "" or theirs is None or theirs == "":
            return None
        entry = table.columns.get(column, {})
        self.compared += 1
        self.tables[self._key(table)] = table
        self.rows.add((self._key(table), row_name))
        a, b = _number(cell), _number(theirs)
        if a is not None and b is not None:
            allowed = max(entry.get("tolerance", 0.0) * max(abs(a), abs(b)), entry.get("tolerance_abs", 0.0),
                          1e-12 * max(abs(a), abs(b)))
            same = abs(a - b) <= allowed
        else:
            same = str(cell).strip() == str(theirs).strip()
        if not same:
            self.found[(self._key(table), row_name, column)] = (str(cell), str(theirs))
        return same

    def finish(self):
        """Prints the outcome and ends the script."""
        for key, (ours, theirs) in sorted(self.found.items()):
            d = self.listed.get(key)
            where = f"{key[0]}, row {key[1]}, column {key[2]}"
            if d is None:
                self.problems.append(f"{where}: ours {ours}, {self.package} {theirs}")
            elif d["ours"] != ours or d["theirs"] != theirs:
                self.problems.append(f"{where}: listed as {d['ours']} / {d['theirs']}, "
                                     f"but ours {ours}, {self.package} {theirs}")
        for key in sorted(set(self.listed) - set(self.found)):
            self.problems.append(f"{key[0]}, row {key[1]}, column {key[2]}: "
                                 f"listed in differences.csv, but does not occur")
        for name, table in sorted(self.tables.items()):
            for row in table.rows:
                says = row[table.meta["second_source"]] == self.package
                did = (name, row[table.record]) in self.rows
                if says and not did:
                    self.problems.append(f"{name}, row {row[table.record]}: second source is {self.package}, "
                                         f"but nothing was compared")
                if did and row[table.meta["second_source"]] == "none":
                    self.problems.append(f"{name}, row {row[table.record]}: second source is none, "
                                         f"but the row was compared")
        for problem in self.problems:
            print(problem)
        listed = sum(1 for key in self.found if key in self.listed)
        print(f"{self.compared} values compared, {listed} listed differences")
        sys.exit(1 if self.problems else 0)
