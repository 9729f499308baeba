"""The bytes of an aggregate's state: the encoding of the Rust SDK, so that equal states are equal bytes.

Fields in order; integers are 8 bytes and floats 8 bytes, little-endian, every NaN the canonical one; text, bytes, lists and
dictionaries are a count of 4 bytes and the elements, dictionaries and sets in ascending order; what may be None is a byte
and, if that is 1, the value.
"""

import dataclasses
import struct
import typing

from .schema import Timestamp, optional, shown

COUNT, INT, FLOAT = struct.Struct("<I"), struct.Struct("<q"), struct.Struct("<d")
NAN = bytes.fromhex("000000000000f87f")


def codec(hint):
    """The way to write and to read values of a type."""
    plain, nullable = optional(hint)
    if nullable:
        return Optional(codec(plain))
    if plain in SCALARS:
        return SCALARS[plain]
    if dataclasses.is_dataclass(plain):
        return Record(plain)
    origin, arguments = typing.get_origin(plain), typing.get_args(plain)
    if origin in (list, set, dict) and arguments:
        return SEQUENCES[origin](*map(codec, arguments))
    if origin is tuple and arguments and Ellipsis not in arguments:
        return Tuple(list(map(codec, arguments)))
    raise TypeError(
        f"a state cannot hold `{shown(hint)}`; use float, int, bool, str, bytes, Timestamp, dataclasses, and list[...], "
        "set[...], dict[..., ...] or tuple[...] of these"
    )


def encode(of, value):
    out = bytearray()
    of.write(out, value)
    return bytes(out)


def decode(of, data):
    reader = Reader(data)
    value = of.read(reader)
    if reader.at != len(data):
        raise ValueError("the state is corrupt: bytes are left over")
    return value


class Reader:
    """Takes bytes off the front of a state."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        if self.at > len(self.data):
            raise ValueError("the state is corrupt: it ends too soon")
        return self.data[self.at - count : self.at]


class Scalar:
    """A value that is written by one function and read by another."""

    def __init__(self, write, read):
        self.write, self.read = write, read


class Record:
    """A dataclass: its fields in order."""

    def __init__(self, of):
        hints = typing.get_type_hints(of)
        self.of = of
        self.fields = [(field.name, codec(hints[field.name])) for field in dataclasses.fields(of)]

    def write(self, out, value):
        for name, field in self.fields:
            field.write(out, getattr(value, name))

    def read(self, reader):
        return self.of(*[field.read(reader) for _, field in self.fields])


class Optional:
    """A byte that says whether there is a value, and the value."""

    def __init__(self, of):
        self.of = of

    def write(self, out, value):
        out.append(value is not None)
        if value is not None:
            self.of.write(out, value)

    def read(self, reader):
        return self.of.read(reader) if read_bool(reader) else None


class Tuple:
    """Values one after another."""

    def __init__(self, of):
        self.of = of

    def write(self, out, value):
        for element, part in zip(self.of, value, strict=True):
            element.write(out, part)

    def read(self, reader):
        return tuple(element.read(reader) for element in self.of)


class List:
    """A count and the elements."""

    make, order = list, staticmethod(iter)

    def __init__(self, of):
        self.of = of

    def write(self, out, value):
        out += COUNT.pack(len(value))
        for element in self.order(value):
            self.of.write(out, element)

    def read(self, reader):
        (count,) = COUNT.unpack(reader.take(4))
        return self.make(self.of.read(reader) for _ in range(count))


class Set(List):
    """A count and the elements in ascending order."""

    make, order = set, staticmethod(sorted)


class Dict(List):
    """A count and the pairs in ascending order of their keys."""

    make = dict

    def __init__(self, key, value):
        super().__init__(Tuple([key, value]))

    @staticmethod
    def order(value):
        return sorted(value.items(), key=lambda pair: pair[0])


SEQUENCES = {list: List, set: Set, dict: Dict}


def write_float(out, value):
    out += FLOAT.pack(value) if value == value else NAN


def write_int(out, value):
    out += INT.pack(value)


def write_bool(out, value):
    out.append(bool(value))


def read_bool(reader):
    byte = reader.take(1)[0]
    if byte > 1:
        raise ValueError("the state is corrupt: a bool is neither 0 nor 1")
    return byte == 1


def write_bytes(out, value):
    out += COUNT.pack(len(value))
    out += value


def read_bytes(reader):
    return bytes(reader.take(*COUNT.unpack(reader.take(4))))


SCALARS = {
    float: Scalar(write_float, lambda reader: FLOAT.unpack(reader.take(8))[0]),
    int: Scalar(write_int, lambda reader: INT.unpack(reader.take(8))[0]),
    Timestamp: Scalar(write_int, lambda reader: Timestamp(INT.unpack(reader.take(8))[0])),
    bool: Scalar(write_bool, read_bool),
    bytes: Scalar(write_bytes, read_bytes),
    str: Scalar(lambda out, value: write_bytes(out, value.encode()), lambda reader: read_bytes(reader).decode()),
}
