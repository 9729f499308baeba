"""Tries a plugin natively, with rows as JSON; `oast plugin test` does the same through the component and the engine.

    from oast_sdk.testing import Tried
    tried = Tried(late, {"minutes": 5.0}, "dep_delay: float64?")
    assert tried.apply([[20.0], [1.0], [None]]) == [[15.0], "drop", {"reject": "no_delay"}]
"""

from . import columns
from .schema import Field, parse_type
from .params import compact
from .transform import DROP, REJECT


class Tried:
    """A configured plugin; rows are lists in the order of its input."""

    def __init__(self, of, params=None, offered=""):
        self.plugin = of.oast_plugin
        self.input, self.output = self.plugin.configure(compact(params or {}), schema(offered))

    def apply(self, rows):
        """What becomes of each row: a list of values, "drop" or {"reject": code}."""
        verdicts, made, rejections = self.plugin.apply(len(rows), self.columns(rows))
        values = self.values(len(rows), made)
        codes = {row: code for row, code, _ in rejections}
        for row, verdict in enumerate(verdicts or []):
            if verdict == DROP:
                values[row] = "drop"
            elif verdict == REJECT:
                values[row] = {"reject": codes[row]}
        return values

    def fold(self, rows, splits=()):
        """The features of rows folded into states, a new one beginning at each of the splits, and merged."""
        ends = [*splits, len(rows)]
        counts = [end - start for start, end in zip([0, *splits], ends)]
        states = self.plugin.update([b""] * len(counts), counts, len(rows), self.columns(rows))
        count, made = self.plugin.finish(states, [len(states)])
        return self.values(count, made)[0]

    def columns(self, rows):
        return [columns.encode(field, [row[at] for row in rows]) for at, field in enumerate(self.input)]

    def values(self, rows, made):
        decoded = [columns.decode(field, field, *column) for field, column in zip(self.output, made)]
        return [list(row) for row in zip(*decoded)] if decoded else [[] for _ in range(rows)]


def schema(text):
    """Columns such as `"distance: float64, tail: utf8?"`."""
    parts = [part.split(":") for part in text.split(",") if part.strip()]
    return [Field(name.strip(), *parse_type(data_type.strip())) for name, data_type in parts]
