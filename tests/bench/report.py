"""The results: medians, ratios, the table as text."""

import json
import statistics

from rows import GROUPS, STUNNELS

MARKS = {True: "yes", False: "NO", None: "-"}


def median(samples):
    return statistics.median(samples) if samples else None


class Results:
    """What was measured: samples of rows and systems, and failures."""

    def __init__(self, rows, systems, meta):
        self.rows, self.systems, self.meta = rows, systems, meta
        self._samples = {}  # row, system -> [(value, beside)]
        self.failures = []  # (row, system, why)

    def add(self, row, system, value, beside):
        self._samples.setdefault((row.name, system.name), []).append((value, beside))

    def fail(self, row, system, why):
        self.failures.append((row.name, system.name, why))

    def samples(self, row, name):
        return self._samples.get((row.name, name), [])

    def value(self, row, name):
        return median([value for value, _ in self.samples(row, name)])

    def beside(self, row, name, key):
        return median([beside[key] for _, beside in self.samples(row, name) if key in beside])

    def best_peer(self, row):
        """The name of the peer with the best value, or None.  A floor is none."""
        return self._best(row, [s.name for s in self.systems if s.peer and not s.floor])

    def _best(self, row, names):
        found = [(self.value(row, name), name) for name in names]
        found = [pair for pair in found if pair[0] is not None]
        if not found:
            return None
        return (max if row.more_is_better else min)(found)[1]

    def reference(self, row):
        """The name of the system that a row's goals are set against, or None."""
        if row.reference == "stunnels":
            return self._best(row, STUNNELS)
        return self.best_peer(row) if row.reference == "peers" else row.reference or None

    def ratio(self, row, name, other):
        mine, theirs = self.value(row, name), self.value(row, other) if other else None
        return mine / theirs if mine is not None and theirs else None

    def reached(self, row, name, target):
        """Whether a must or a goal is reached; None: cannot be said."""
        if row.reference:
            reference = self.reference(row)
            reached = self.ratio(row, name, reference)
        else:
            reached = self.value(row, name)
        if reached is None:
            return None
        if row.no_less and (self.beside(row, name, row.no_less)
                            < self.beside(row, reference, row.no_less)):
            return False
        return reached >= target if row.more_is_better else reached <= target

    def to_json(self):
        rows = {}
        for row in self.rows:
            columns = {}
            for s in self.systems:
                taken = self.samples(row, s.name)
                if taken:
                    columns[s.name] = {
                        "value": self.value(row, s.name),
                        "samples": [value for value, _ in taken],
                        "beside": {key: self.beside(row, s.name, key) for key in taken[0][1]},
                        "ratio_to_reference": self.ratio(row, s.name, self.reference(row)),
                        "must": self.reached(row, s.name, row.must),
                        "goal": self.reached(row, s.name, row.goal)}
            rows[row.name] = {"title": row.title, "unit": row.unit, "must": row.must,
                              "goal": row.goal, "more_is_better": row.more_is_better,
                              "reference": self.reference(row), "best_peer": self.best_peer(row),
                              "systems": columns}
        return json.dumps({"meta": self.meta, "rows": rows,
                           "failures": [list(f) for f in self.failures]}, indent=1) + "\n"


def figure(value):
    """Three digits that count."""
    if value is None:
        return "-"
    if abs(value) >= 99.5:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 9.95 else f"{value:.2f}"


def _cell(results, row, system, first):
    """A value, and behind a peer's the first column's ratio to it."""
    value = results.value(row, system.name)
    if value is None:
        return "fails" if any(f[:2] == (row.name, system.name) for f in results.failures) else ""
    ratio = results.ratio(row, first.name, system.name) if system is not first else None
    return figure(value) + (f" ({figure(ratio)})" if ratio is not None else "")


def _target(row, value):
    sign = ">=" if row.more_is_better else "<="
    return f"{sign}{figure(value)}" + (" of " + GROUPS.get(row.reference, row.reference)
                                       if row.reference else "")


def _lines(results, row, columns):
    first = columns[0]
    yield [row.name, row.title, row.unit, _target(row, row.must),
           MARKS[results.reached(row, first.name, row.must)],
           figure(row.goal), MARKS[results.reached(row, first.name, row.goal)],
           *(_cell(results, row, s, first) for s in columns)]
    for key in row.beside:
        yield ["", "", key, "", "", "", "",
               *(figure(results.beside(row, s.name, key)) if results.samples(row, s.name) else ""
                 for s in columns)]


def table(results):
    """The one table.  In parentheses: the first column's value divided by the cell's."""
    tried = {name for _, name, _ in results.failures}
    columns = [s for s in results.systems if s.name in tried
               or any(results.samples(row, s.name) for row in results.rows)]
    columns.sort(key=lambda s: s.peer)
    if not columns:
        return "nothing was measured\n"
    lines = [["row", "", "unit", "must", "met", "goal", "met", *(s.name for s in columns)]]
    for row in results.rows:
        lines.extend(_lines(results, row, columns))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = ""
    for line in lines:
        cells = [cell.ljust(width) if i < 7 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(line, widths))]
        text += "  ".join(cells).rstrip() + "\n"
    return text


def document(results):
    """The table with what has to be known to read it."""
    meta = results.meta
    text = (f"{meta['form']} form, {meta['rounds']} rounds, medians; {meta['cpus']} processors, "
            f"{meta['cpu']}, Linux {meta['kernel']}, {meta['congestion']}\n"
            f"load of the machine before: {meta['load_before']:.2f}, after: "
            f"{meta['load_after']:.2f}\n")
    for name, version in meta["systems"].items():
        text += f"  {name}: {version}\n"
    for name, why in meta["missing"].items():
        text += f"  {name}: MISSING, {why}\n"
    text += ("CPU: both proxies together, on one processor, the load on another.  In parentheses:"
             " the first column's value divided by this one.\n")
    if any(s.floor for s in results.systems):
        text += ("bare: no product, but about the least that this work costs on this kernel; it "
                 "is no peer in must and goal.\n")
    text += "\n" + table(results)
    for row, system, why in results.failures:
        text += f"\nfailed: {row}, {system}: {why}"
    return text + ("\n" if results.failures else "")
