"""Columns by name and type, and the type hints that stand for them."""

import dataclasses
import enum
import types
import typing


class Timestamp(int):
    """Microseconds since the Unix epoch, UTC. It is an `int`, so that arithmetic on it is exact."""


class Vector:
    """The hint `Vector[8]`: a list of eight floats of single precision."""

    def __class_getitem__(cls, width):
        if type(width) is not int or width < 1:
            raise TypeError(f"a vector has a positive width, for example `Vector[8]`, not `Vector[{width!r}]`")
        return typing.Annotated[list, DataType("vector", width)]


class MergeLaw(enum.Enum):
    """What an aggregate promises of `merge`."""

    EXACT = "exact"
    """Merged states finish into the very bits of one state over all rows."""
    ROUNDED = "rounded"
    """They are equal up to floating-point rounding."""
    APPROXIMATE = "approximate"
    """A sketch: within the error that its documentation states."""


@dataclasses.dataclass(frozen=True)
class DataType:
    """The type of a column."""

    kind: str
    width: int = 0

    def __str__(self):
        return f"vector[{self.width}]" if self.kind == "vector" else self.kind


@dataclasses.dataclass(frozen=True)
class Field:
    """A named, typed column of a schema."""

    name: str
    data_type: DataType
    nullable: bool = False

    def __str__(self):
        return f"`{self.name}` ({self.data_type}{'?' if self.nullable else ''})"


EVENT_TIME = "event_time"
"""The input column that stands for the time of each event and is never bound by position."""

HINTS = {
    bool: DataType("bool"),
    int: DataType("int64"),
    float: DataType("float64"),
    str: DataType("utf8"),
    bytes: DataType("binary"),
    Timestamp: DataType("timestamp"),
}


def optional(hint):
    """The hint without `| None`, and whether that was there."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        rest = [part for part in typing.get_args(hint) if part is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return hint, False


def field_of(owner, name, hint):
    """The column that a field of a dataclass stands for."""
    plain, nullable = optional(hint)
    if typing.get_origin(plain) is typing.Annotated:
        return Field(name, plain.__metadata__[0], nullable)
    if plain not in HINTS:
        raise TypeError(
            f"`{owner.__name__}.{name}`: a column cannot be `{shown(hint)}`; "
            "use float, int, str, bytes, bool, Timestamp or Vector[N], each with or without `| None`"
        )
    return Field(name, HINTS[plain], nullable)


def fields_of(row):
    """The columns of a dataclass, in order."""
    if not dataclasses.is_dataclass(row):
        raise TypeError(f"`{shown(row)}` is not a row: write `@dataclass` over a class of typed fields")
    hints = typing.get_type_hints(row, include_extras=True)
    return [field_of(row, field.name, hints[field.name]) for field in dataclasses.fields(row)]


def shown(hint):
    return getattr(hint, "__name__", None) if isinstance(hint, type) else str(hint)


def listed(fields):
    """The columns as a person reads them in an error."""
    return ", ".join(map(str, fields)) or "none"


def parse_type(text):
    """A column's type and whether it is nullable, as definitions spell them: `float64?`, `vector[8]`."""
    plain = text.removesuffix("?")
    if plain.startswith("vector[") and plain.endswith("]"):
        return DataType("vector", int(plain[7:-1])), plain != text
    data_type = DataType(plain)
    if data_type not in HINTS.values():
        raise ValueError(f"there is no type `{text}`")
    return data_type, plain != text


def bind(declared, offered):
    """The input schema for the columns at hand: by name when every field finds its column, else by position."""
    bound = [field for field in declared if field.name != EVENT_TIME]
    by_name = {field.name: field for field in offered}
    if all(field.name in by_name for field in bound):
        columns = [by_name[field.name] for field in bound]
    elif len(bound) == len(offered):
        columns = offered
    else:
        raise ConfigureError(
            f"expected the columns {listed(bound)}, by these names or in this order; at hand: {listed(offered)}"
        )
    taken = {field.name: bind_one(field, column) for field, column in zip(bound, columns)}
    return [taken.get(field.name, field) for field in declared]


def bind_one(field, column):
    widened = field.data_type.kind == "float64" and column.data_type.kind == "int64"
    if column.data_type != field.data_type and not widened:
        raise ConfigureError(
            f"input `{field.name}` expects {field.data_type}, but the column {column} holds {column.data_type}"
        )
    if column.nullable and not field.nullable:
        raise ConfigureError(
            f"input `{field.name}` takes no nulls, but the column {column} may hold them; "
            "fill them first, for example with the plugin `fill`"
        )
    return dataclasses.replace(field, data_type=column.data_type)


class ConfigureError(Exception):
    """Parameters or columns that do not fit; the message is for whoever wrote the definition."""
