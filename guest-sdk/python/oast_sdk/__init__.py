"""Write transforms and aggregates for Oast in Python, and compile them to WebAssembly components that import nothing.

A transform is a function from one row to another:

    from dataclasses import dataclass
    from oast_sdk import Drop, Reject, transform

    @dataclass
    class Departure:
        dep_delay: float | None

    @dataclass
    class Late:
        late_by: float

    @dataclass
    class Tolerance:
        minutes: float = 15.0

    @transform
    def late(departure: Departure, tolerance: Tolerance) -> Late:
        '''Keeps the departures that were later than the tolerance.'''
        if departure.dep_delay is None:
            raise Reject("no_delay", "a departure has a delay")
        if departure.dep_delay <= tolerance.minutes:
            return Drop
        return Late(departure.dep_delay - tolerance.minutes)

The fields of a row are columns: `float` is float64, `int` int64, `str` utf8, `bytes` binary, `bool` bool, `Timestamp`
timestamp and `Vector[N]` vector[N]; `| None` is a nullable column. An aggregate is a dataclass under `@aggregate`.
"""

from .aggregate import aggregate
from .outcome import Drop, Reject
from .params import param
from .schema import MergeLaw, Timestamp, Vector
from .transform import transform

__all__ = ["Drop", "MergeLaw", "Reject", "Timestamp", "Vector", "aggregate", "param", "transform"]
