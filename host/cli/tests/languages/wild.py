"""A transform that does, for certain rows, what a transform should not."""

import datetime
import os
import random
import sys
import time
from dataclasses import dataclass

from oast_sdk import Drop, Reject, param, transform


@dataclass
class Input:
    delay: float | None


@dataclass
class Output:
    excess: float


@dataclass
class Settings:
    tolerance: float = param(15.0, doc="Minutes that do not count.")


def endless(depth):
    return endless(depth + 1) + 1


WILD = {
    101: lambda: Output(1 / 0),
    102: lambda: Output(time.time()),
    103: lambda: Output(random.random()),
    104: lambda: Output(datetime.datetime.now().timestamp()),
    105: lambda: 5,
    106: lambda: Output("text"),
    107: lambda: Output(endless(0)),
    108: lambda: sys.exit(3),
    109: lambda: Output(random.Random(7).random()),
    110: lambda: Output(float("".join({"1", "2", "3", "4", "5"}))),
    111: lambda: Output(float(os.urandom(1)[0])),
    112: lambda: Output(float(len(open("/etc/passwd").read()))),
    113: lambda: Output(float(print("seen by nobody") is None)),
    114: lambda: Output(float(__import__("tomllib") is None)),
    115: lambda: Output(None),
    116: lambda: Output(datetime.datetime(2013, 1, 1, tzinfo=datetime.timezone.utc).timestamp()),
}


@transform
def wild(row: Input, settings: Settings) -> Output:
    """Keeps the rows whose delay exceeds the tolerance."""
    if row.delay is None:
        raise Reject("no_delay", "a row has a delay")
    if row.delay in WILD:
        return WILD[row.delay]()
    if row.delay <= settings.tolerance:
        return Drop
    return Output(excess=row.delay - settings.tolerance)
