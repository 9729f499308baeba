"""Takes the clock and the dice away, before the author's code is imported.

A component has no clock and no random source. What Python would answer instead was settled when the component was built, or
is a trap; an exception that says so is better. Random numbers from a seed of one's own are fine: `random.Random(row.seed)`.
"""

import datetime
import os
import random
import time

CLOCKS = (
    "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns thread_time "
    "thread_time_ns clock_gettime clock_gettime_ns sleep"
).split()


class NoClock(RuntimeError):
    """A transform asked what time it is."""


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


def seal():
    """Replaces every function that would read a clock or roll dice."""
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
