"""Takes the clock, the dice and the files away from the author's code.

A component has none of them. What Python would answer instead was settled when the component was built, or is a trap; an
exception that says so is better. Random numbers from a seed of one's own are fine: `random.Random(row.seed)`.
"""

import builtins
import datetime
import io
import os
import random
import sys
import time

CLOCKS = (
    "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns thread_time "
    "thread_time_ns clock_gettime clock_gettime_ns sleep"
).split()

FILES = (
    "access chdir getcwd link listdir lstat mkdir open readlink remove rename replace rmdir scandir stat symlink truncate "
    "unlink utime"
).split()


class NoClock(RuntimeError):
    """A transform asked what time it is."""


class NoFiles(OSError):
    """A transform asked for a file."""


class NoDice(RuntimeError):
    """A transform asked for a random number that no seed decides."""


def no_clock(name):
    def refuse(*_, **__):
        raise NoClock(f"`{name}` has no answer: a plugin has no clock; take the time from a column, such as `event_time`")

    return refuse


def no_dice(name):
    def refuse(*_, **__):
        raise NoDice(f"`{name}` has no answer: a plugin has no random source; use `random.Random(seed)` with a column as seed")

    return refuse


def now_or_given(name):
    """For functions such as `time.gmtime`, which read the clock only when they get no time."""
    function = getattr(time, name)

    def answer(*given):
        return function(*given) if given and given[-1] is not None else no_clock(f"time.{name}")()

    return answer


def no_files(name):
    def refuse(*_, **__):
        raise NoFiles(f"`{name}` has no answer: a plugin has no files; what it needs comes as columns, parameters or source code")

    return refuse


class Nowhere(io.TextIOBase):
    """Where `print` goes in a component."""

    def write(self, text):
        return len(text)


def close():
    """After the author's code is imported: from here on there are no files, and so nothing more to import."""
    sys.stdout = sys.stderr = Nowhere()
    builtins.open = io.open = os.open = no_files("open")
    for name in FILES:
        if hasattr(os, name):
            setattr(os, name, no_files(f"os.{name}"))
    sys.meta_path = [finder for finder in sys.meta_path if getattr(finder, "__name__", "") != "PathFinder"]


def seal():
    """Before the author's code is imported: replaces every function that would read a clock or roll dice."""
    for name in CLOCKS:
        if hasattr(time, name):
            setattr(time, name, no_clock(f"time.{name}"))
    for name in ("gmtime", "localtime", "ctime"):
        setattr(time, name, now_or_given(name))
    datetime.datetime, datetime.date = sealed_datetime(), sealed_date()
    os.urandom = no_dice("os.urandom")
    for name in dir(random.Random):
        if not name.startswith("_") and callable(getattr(random, name, None)):
            setattr(random, name, no_dice(f"random.{name}"))
    random.Random, random.SystemRandom = sealed_random(), no_dice("random.SystemRandom")


def sealed_datetime():
    class datetime_(datetime.datetime):
        now = classmethod(no_clock("datetime.now"))
        utcnow = classmethod(no_clock("datetime.utcnow"))
        today = classmethod(no_clock("datetime.today"))

    datetime_.__name__ = datetime_.__qualname__ = "datetime"
    return datetime_


def sealed_date():
    class date(datetime.date):
        today = classmethod(no_clock("date.today"))

    date.__qualname__ = "date"
    return date


def sealed_random():
    class Random(random.Random):
        def __new__(cls, seed=None):
            return no_dice("random.Random()")() if seed is None else super().__new__(cls, seed)

        def seed(self, seed=None, version=2):
            return no_dice("Random.seed()")() if seed is None else super().seed(seed, version)

    Random.__qualname__ = "Random"
    return Random
