"""Columns between the contract and lists of Python values, whole columns at a time so that a row costs little.

A column on the wire is a pair of values and validity: the values a list of numbers or a pair of offsets and bytes, the
validity one byte a row or None.
"""

import math
import struct

from .outcome import Reject
from .schema import Timestamp

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


def decode(field, declared, values, validity):
    """The Python values of a column; `declared` is the type that the author wrote, which may be wider."""
    kind = field.data_type.kind
    if kind == "bool":
        decoded = [byte != 0 for byte in values]
    elif kind in ("utf8", "binary"):
        decoded = split(values[0], values[1], kind == "utf8")
    elif kind == "vector":
        width = field.data_type.width
        decoded = [values[start : start + width] for start in range(0, len(values), width)]
    elif kind == "timestamp":
        decoded = list(map(Timestamp, values))
    elif declared.data_type.kind == "float64" and kind == "int64":
        decoded = list(map(float, values))
    else:
        decoded = values
    if validity is None:
        return decoded
    return [value if valid else None for value, valid in zip(decoded, validity)]


def split(offsets, data, text):
    ends = offsets[1:]
    if not text:
        return [data[start:end] for start, end in zip(offsets, ends)]
    if data.isascii():
        data = data.decode("ascii")
        return [data[start:end] for start, end in zip(offsets, ends)]
    return [data[start:end].decode("utf-8") for start, end in zip(offsets, ends)]


def check(field, value):
    """The value as the column holds it, or a rejection that says what is wrong with it."""
    if value is None:
        if field.nullable:
            return None
        raise Reject("output", f"the column {field} cannot hold None; write its hint with `| None`")
    kind, given = field.data_type.kind, type(value)
    if kind == "float64" and given in (float, int):
        return float(value)
    if kind in ("int64", "timestamp") and isinstance(value, int) and given is not bool:
        if INT64_MIN <= value <= INT64_MAX:
            return value
        raise Reject("output", f"{value} is out of the range of the column {field}")
    if kind == "bool" and given is bool or kind == "binary" and isinstance(value, bytes):
        return value
    if kind == "utf8" and isinstance(value, str):
        if not value.isascii():
            encodable(field, value)
        return value
    if kind == "vector" and isinstance(value, (list, tuple)):
        return vector(field, value)
    raise Reject("output", f"the column {field} cannot hold {given.__name__} `{value!r:.100}`")


def encodable(field, value):
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Reject("output", f"the column {field} cannot hold lone surrogates") from None


def vector(field, value):
    width = field.data_type.width
    if len(value) != width or not all(type(single) in (float, int) for single in value):
        raise Reject("output", f"the column {field} holds lists of {width} floats, not `{value!r:.100}`")
    return [single_of(float(single)) for single in value]


def single_of(value):
    """The nearest float of single precision; what is too large becomes infinite, as IEEE 754 rounds it."""
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def encode(field, values):
    """A column on the wire from checked values."""
    validity = None
    if field.nullable and None in values:
        validity = bytes(value is not None for value in values)
        nothing = NOTHING.get(field.data_type.kind, [0.0] * field.data_type.width)
        values = [nothing if value is None else value for value in values]
    kind = field.data_type.kind
    if kind == "bool":
        return bytes(values), validity
    if kind in ("utf8", "binary"):
        return join(values, kind == "utf8"), validity
    if kind == "vector":
        return [single for value in values for single in value], validity
    return values, validity


NOTHING = {"bool": False, "int64": 0, "float64": 0.0, "timestamp": 0, "utf8": "", "binary": b""}


def nothing(field):
    """What stands in a column for a row that is not kept."""
    return NOTHING.get(field.data_type.kind, [0.0] * field.data_type.width)


def join(values, text):
    if text:
        values = [value.encode() for value in values]
    offsets, end = [0], 0
    for value in values:
        end += len(value)
        offsets.append(end)
    return offsets, b"".join(values)
