"""Aggregates: rows fold into states, states merge, a state finishes into a row."""

import dataclasses
import inspect
import itertools
import typing

from . import state
from .columns import check, decode, encode
from .outcome import Reject
from .params import Params
from .schema import MergeLaw, bind, fields_of


def aggregate(of=None, *, order_sensitive=False, merge_law=MergeLaw.ROUNDED):
    """Makes a dataclass a plugin: its fields, which all have defaults, are the state of rows folded so far.

        @aggregate
        @dataclass
        class Longest:
            distance: float | None = None

            def update(self, flight: Flight): ...
            def merge(self, later: "Longest"): ...
            def finish(self) -> Feature: ...

    With parameters, each method takes them as a last argument with a type hint.
    """

    def make(of):
        of.oast_plugin = Aggregate(of, order_sensitive, MergeLaw(merge_law))
        return of

    return make if of is None else make(of)


class Aggregate:
    """An aggregate, before and after `configure`."""

    kind = "aggregate"

    def __init__(self, of, order_sensitive, merge_law):
        self.of, self.order_sensitive, self.merge_law = of, order_sensitive, merge_law
        self.documentation = inspect.getdoc(of) or ""
        if not dataclasses.is_dataclass(of):
            raise TypeError(f"`{of.__name__}`: write `@aggregate` over `@dataclass`; the fields are the state")
        row, params = signature(of, "update", 1)
        self.row, self.declared = row, fields_of(row)
        signature(of, "merge", 1, needs_row_hint=False)
        finish = typing.get_type_hints(of.finish, localns={of.__name__: of}, include_extras=True)
        if "return" not in finish:
            raise TypeError(f"`{of.__name__}.finish`: say what it returns, for example `-> Feature`")
        self.returned = finish["return"]
        self.output = fields_of(self.returned)
        self.params = Params(params)
        self.codec = state.codec(of)
        of()  # A state of no rows is one with every default.

    def configure(self, text, offered):
        """Reads the parameters and binds the columns."""
        params = self.params.parse(text)
        self.extra = () if self.params.of is None else (params,)
        self.input = bind(self.declared, offered)
        return self.input, self.output

    def update(self, states, group_rows, rows, columns):
        """Folds runs of rows into states of bytes."""
        decoded = [decode(*given) for given in zip(self.input, self.declared, *zip(*columns))] if columns else []
        all_rows = itertools.starmap(self.row, zip(*decoded) if decoded else iter([()] * rows))
        return [self.fold(bytes_, itertools.islice(all_rows, count)) for bytes_, count in zip(states, group_rows)]

    def fold(self, before, rows):
        first = next(rows, None)
        if first is None:
            return before
        folded, extra = self.decoded(before), self.extra
        for row in itertools.chain([first], rows):
            folded.update(row, *extra)
        return state.encode(self.codec, folded)

    def merge(self, states, group_states):
        """Merges runs of states, from left to right."""
        return [self.merged_bytes(run) for run in runs(states, group_states)]

    def merged_bytes(self, run):
        if len(run) < 2:
            return run[0] if run else b""
        return state.encode(self.codec, self.merged(run))

    def merged(self, run):
        merged = self.decoded(run[0] if run else b"")
        for later in run[1:]:
            merged.merge(self.decoded(later), *self.extra)
        return merged

    def finish(self, states, group_states):
        """Merges runs of states and gives the columns of one row for each."""
        made = [self.merged(run).finish(*self.extra) for run in runs(states, group_states)]
        for feature in made:
            if type(feature) is not self.returned:
                raise TypeError(f"`finish` returned `{feature!r:.100}` instead of `{self.returned.__name__}`")
        return len(made), [self.column(field, made) for field in self.output]

    def column(self, field, made):
        try:
            return encode(field, [check(field, getattr(feature, field.name)) for feature in made])
        except Reject as rejection:
            raise TypeError(rejection.message) from None

    def decoded(self, before):
        return state.decode(self.codec, before) if before else self.of()


def runs(states, counts):
    """Runs of neighbouring states that some row has touched; the others change nothing."""
    states = iter(states)
    return [[one for one in itertools.islice(states, count) if one] for count in counts]


def signature(of, method, rows, needs_row_hint=True):
    """The hints of a method's row and of its parameters, if it has any."""
    function = getattr(of, method, None)
    if function is None:
        raise TypeError(f"`{of.__name__}` has no method `{method}`; an aggregate has `update`, `merge` and `finish`")
    names = list(inspect.signature(function).parameters)[1:]
    hints = typing.get_type_hints(function, localns={of.__name__: of}, include_extras=True)
    wanted = names if needs_row_hint else names[rows:]
    if len(names) not in (rows, rows + 1) or any(name not in hints for name in wanted):
        raise TypeError(f"`{of.__name__}.{method}`: its arguments are a row and perhaps parameters, with type hints")
    return hints.get(names[0]), hints[names[rows]] if len(names) > rows else None
