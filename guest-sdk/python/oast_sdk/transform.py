"""Transforms: a function from one row to another, and what runs it over columns."""

import inspect
import operator
import typing

from .columns import check, decode, encode, nothing
from .outcome import Drop, Reject, rejection_of
from .params import Params
from .schema import bind, fields_of

KEEP, DROP, REJECT = range(3)


def transform(function):
    """Makes a function from a row to a row a plugin. It stays a function, and its docstring is the documentation."""
    function.oast_plugin = Transform(function)
    return function


class Transform:
    """A transform, before and after `configure`."""

    kind = "transform"

    def __init__(self, function):
        self.function = function
        self.documentation = inspect.getdoc(function) or ""
        names = list(inspect.signature(function).parameters)
        hints = typing.get_type_hints(function, include_extras=True)
        if len(names) not in (1, 2) or any(name not in hints for name in names + ["return"]):
            raise TypeError(
                f"`{function.__name__}`: a transform takes a row and perhaps parameters, and returns a row, each with a "
                "type hint: `def late(departure: Departure, tolerance: Tolerance) -> Late`"
            )
        self.row = hints[names[0]]
        self.declared = fields_of(self.row)
        self.output = fields_of(output_of(function, hints["return"]))
        self.returned = output_of(function, hints["return"])
        self.params = Params(hints[names[1]] if len(names) == 2 else None)

    def configure(self, text, offered):
        """Reads the parameters and binds the columns."""
        params = self.params.parse(text)
        self.input = bind(self.declared, offered)
        function = self.function
        self.call = function if self.params.of is None else lambda row: function(row, params)
        return self.input, self.output

    def apply(self, rows, columns):
        """One verdict a row, the columns of the output, and a rejection (row, code, message) for each rejected row."""
        decoded = [decode(*given) for given in zip(self.input, self.declared, *zip(*columns))] if columns else []
        results = self.run(zip(*decoded)) if decoded else self.run(iter([()] * rows))
        checked = self.checked(results)
        rejections = [(row, made.code, made.message) for row, made in enumerate(results) if isinstance(made, Reject)]
        verdicts = None
        if rejections or any(made is Drop for made in results):
            verdicts = [DROP if made is Drop else REJECT if isinstance(made, Reject) else KEEP for made in results]
        return verdicts, [encode(field, values) for field, values in zip(self.output, checked)], rejections

    def run(self, rows):
        row_of, call, results = self.row, self.call, []
        for values in rows:
            try:
                results.append(call(row_of(*values)))
            except MemoryError:
                raise  # Other rows of the batch have their part in it; the host runs each row by itself.
            except BaseException as error:
                results.append(rejection_of(error))
        return results

    def checked(self, results):
        """The output's columns. A row whose value does not fit its column becomes a rejection in `results`."""
        for row, made in enumerate(results):
            if type(made) is not self.returned and made is not Drop and not isinstance(made, Reject):
                results[row] = Reject("output", f"expected `{self.returned.__name__}`, got `{made!r:.100}`")
        columns = [self.column(field, results) for field in self.output]
        for row, made in enumerate(results):
            if isinstance(made, Reject):
                for field, values in zip(self.output, columns):
                    values[row] = nothing(field)
        return columns

    def column(self, field, results):
        get, returned, empty = operator.attrgetter(field.name), self.returned, nothing(field)
        values = [get(made) if type(made) is returned else empty for made in results]
        if field.data_type.kind == "float64" and set(map(type, values)) == {float}:
            return values
        for row, value in enumerate(values):
            try:
                values[row] = check(field, value)
            except Reject as rejection:
                results[row], values[row] = rejection, empty
        return values


def output_of(function, hint):
    """The row that a function returns, whatever else its hint allows: `-> Late`, `-> Late | Reject`."""
    parts = typing.get_args(hint) or (hint,)
    rows = [part for part in parts if isinstance(part, type) and not issubclass(part, (Reject, type(Drop), type(None)))]
    if len(rows) != 1:
        raise TypeError(f"`{function.__name__}`: the returned hint names one row, for example `-> Late`, not `{hint}`")
    return rows[0]
