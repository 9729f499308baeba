"""What other software says of the row transforms."""

import re
import string
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from sklearn.feature_extraction import FeatureHasher
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)


def case(name, params, offered, rows, expect, tolerance=0.0):
    return {"name": name, "params": params, "offered": offered, "rows": rows, "expect": expect, "tolerance": tolerance}


def column(values):
    return [[value] for value in values]


def delays(seed, count=30):
    """Numbers with the long tail of delays."""
    return np.round(np.random.default_rng(seed).exponential(20.0, count) - 8.0, 3)


def clip():
    values = delays(1)
    return [
        case("both bounds", {"min": -2.5, "max": 30}, "x: float64", column(values), column(np.clip(values, -2.5, 30))),
        case("one bound", {"min": 0.5}, "x: float64", column(values), column(np.clip(values, 0.5, None))),
    ]


def scale():
    train, values = delays(2, 200).reshape(-1, 1), delays(3, 40).reshape(-1, 1)
    standard, min_max, robust = (s.fit(train) for s in (StandardScaler(), MinMaxScaler(), RobustScaler()))
    given = {
        "standard": (standard, {"mean": float(standard.mean_[0]), "std": float(standard.scale_[0])}),
        "min_max": (min_max, {"min": float(min_max.data_min_[0]), "max": float(min_max.data_max_[0])}),
        "robust": (robust, {"median": float(robust.center_[0]), "iqr": float(robust.scale_[0])}),
    }
    return [
        case(name, {"method": name, **params}, "x: float64", values, scaler.transform(values), 1e-14)
        for name, (scaler, params) in given.items()
    ]


def power():
    cases = [
        case("log1p", {"method": "log1p"}, "x: float64", column(np.abs(delays(4))), column(np.log1p(np.abs(delays(4)))), 1e-15),
        case("power", {"method": "power", "exponent": 1.75}, "x: float64", column(np.abs(delays(4))), column(np.abs(delays(4)) ** 1.75), 1e-15),
    ]
    for method, train in [("box-cox", np.abs(delays(5)) + 0.1), ("yeo-johnson", delays(6))]:
        fitted = PowerTransformer(method=method, standardize=False).fit(train.reshape(-1, 1))
        for number in [float(fitted.lambdas_[0]), 0.0, 2.0, -0.5]:
            fitted.lambdas_ = np.array([number])
            params = {"method": method.replace("-", "_"), "lambda": number}
            name = f"{method} with {number}"
            cases.append(case(name, params, "x: float64", column(train), fitted.transform(train.reshape(-1, 1)), 1e-12))
    return cases


def bucketize():
    values = np.concatenate([delays(7), [0.0, 15.0, 60.0]])
    edges = [0.0, 15.0, 60.0]
    quantiles = np.quantile(values, [0.25, 0.5, 0.75])
    cut = pd.cut(values, [-np.inf, *quantiles, np.inf], labels=False, right=True)
    return [
        case("edges", {"edges": edges}, "x: float64", column(values), column(np.digitize(values, edges))),
        case("right", {"edges": edges, "right": True}, "x: float64", column(values), column(np.digitize(values, edges, right=True))),
        case("quantiles", {"edges": list(quantiles), "right": True}, "x: float64", column(values), column(cut.astype(int))),
    ]


CARRIERS = ["AA", "UA", "B6", "DL", "é", ""]


def carriers(seed, count=40):
    return [CARRIERS[at] for at in np.random.default_rng(seed).integers(0, len(CARRIERS), count)]


def one_hot():
    known, values = ["UA", "AA", "é"], carriers(8)
    encoder = OneHotEncoder(categories=[known], handle_unknown="ignore", sparse_output=False)
    rows = np.array(values, dtype=object).reshape(-1, 1)
    expect = encoder.fit(np.array(known, dtype=object).reshape(-1, 1)).transform(rows)
    return [case("carriers", {"categories": known}, "carrier: utf8", column(values), expect)]


def hash_encode():
    random = np.random.default_rng(9)
    texts = carriers(10, 12)
    tails = ["".join(random.choice(list(string.ascii_letters + "é "), random.integers(0, 13))) for _ in texts]
    numbers = np.round(random.normal(0, 100, 12), 3)
    cases = []
    for width, signed in [(8, True), (32, True), (7, False)]:
        hasher = FeatureHasher(n_features=width, input_type="dict", alternate_sign=signed)
        rows = [{"carrier": c, "tail": t, "distance": n} for c, t, n in zip(texts, tails, numbers)]
        expect = hasher.transform(rows).toarray().astype(np.float32)
        params = {"width": width, "signed": signed}
        offered = "carrier: utf8, tail: utf8, distance: float64"
        cases.append(case(f"width {width}", params, offered, list(zip(texts, tails, numbers)), [[row] for row in expect], 1e-6))
    return cases


def target_encode():
    train, target, values = carriers(11, 200), delays(12, 200), carriers(13) + ["WN"]
    encoder = TargetEncoder(smooth=10.0, target_type="continuous").fit(np.array(train, dtype=object).reshape(-1, 1), target)
    table = dict(zip(encoder.categories_[0], map(float, encoder.encodings_[0])))
    expect = encoder.transform(np.array(values, dtype=object).reshape(-1, 1))
    params = {"table": table, "default": float(encoder.target_mean_)}
    return [case("carriers", params, "carrier: utf8", column(values), expect)]


def transitions(zone, first, last):
    """When a zone's offset changes, as `(unix seconds, offset)`, found by bisection between months."""
    offset = lambda second: int(datetime.fromtimestamp(second, ZoneInfo(zone)).utcoffset().total_seconds())
    found, step = [], 14 * 86_400
    for start in range(first, last, step):
        low, high = start, start + step
        if offset(low) == offset(high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
        found.append([high, offset(high)])
    return offset(first), found


def time_parts():
    first, last = 1_262_304_000, 1_420_070_400
    micros = np.random.default_rng(14).integers(first * 1_000_000, last * 1_000_000, 10)
    parts = ["year", "quarter", "month", "day", "day_of_year", "week", "weekday", "hour", "minute", "second", "is_weekend",
             "day_sin", "day_cos", "week_sin", "week_cos", "year_sin", "year_cos"]
    cases = []
    for zone in ["UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]:
        offset, table = transitions(zone, first, last)
        edges = [second * 1_000_000 + shift for second, _ in table[:3] for shift in (-1, 0)]
        times = pd.Series(pd.to_datetime([*micros, *edges], unit="us", utc=True)).dt.tz_convert(zone)
        local = times.dt.tz_localize(None)
        day = (local - local.dt.normalize()) / pd.Timedelta(days=1)
        week = (local.dt.weekday + day) / 7
        year = (local.dt.dayofyear - 1 + day) / np.where(local.dt.is_leap_year, 366, 365)
        counted = [local.dt.year, local.dt.quarter, local.dt.month, local.dt.day, local.dt.dayofyear, local.dt.isocalendar().week,
                   local.dt.weekday, local.dt.hour, local.dt.minute, local.dt.second, local.dt.weekday >= 5]
        waves = [wave(2 * np.pi * cycle) for cycle in (day, week, year) for wave in (np.sin, np.cos)]
        expect = [list(row) for row in zip(*counted, *waves)]
        params = {"parts": parts, "offset_seconds": offset, "transitions": table}
        cases.append(case(zone, params, "t: timestamp", column([*micros, *edges]), expect, 1e-9))
    return cases


def arith():
    x, y = delays(15), delays(16)
    given = {
        "x * 2 - y / 4 + 1e-3": x * 2 - y / 4 + 1e-3,
        "(x + y) % 7": np.fmod(x + y, 7),
        "if(x > y and not (y < 0), x, -y)": np.where((x > y) & ~(y < 0), x, -y),
        "min(x, y, 3) + max(x, y)": np.minimum(np.minimum(x, y), 3) + np.maximum(x, y),
        "ln(abs(x)) + log10(abs(y)) + log1p(abs(x))": np.log(np.abs(x)) + np.log10(np.abs(y)) + np.log1p(np.abs(x)),
        "exp(-x / 10) * sqrt(abs(y))": np.exp(-x / 10) * np.sqrt(np.abs(y)),
        "pow(abs(x), 0.3) - sin(x) * cos(y)": np.abs(x) ** 0.3 - np.sin(x) * np.cos(y),
        "floor(x) + 10 * ceil(x) + 100 * round(x / 2) + sign(y)": np.floor(x) + 10 * np.ceil(x) + 100 * np.rint(x / 2) + np.sign(y),
    }
    rows = list(zip(x, y))
    return [case(text, {"expression": text}, "x: float64, y: float64", rows, column(result), 1e-13) for text, result in given.items()]


def string_cases():
    texts = [" JFK  to\tLAX ", "N14228", "né 12-34", "", "ÀÉÎ õ", "a12b345", "ΓΕΙΑ", "Straße 7"]
    search = lambda pattern, group: [m.group(group) if (m := re.search(pattern, text, re.ASCII)) else None for text in texts]
    given = [
        ({"op": "lower"}, [text.lower() for text in texts]),
        ({"op": "upper"}, [text.upper() for text in texts]),
        ({"op": "trim"}, [text.strip() for text in texts]),
        ({"op": "normalise"}, [" ".join(text.split()).lower() for text in texts]),
        ({"op": "length"}, [len(text) for text in texts]),
        ({"op": "bytes"}, [len(text.encode()) for text in texts]),
        ({"op": "matches", "pattern": r"\d{2,}"}, [bool(re.search(r"\d{2,}", text)) for text in texts]),
        ({"op": "extract", "pattern": r"([A-Z]+)(\d+)?"}, search(r"([A-Z]+)(\d+)?", 1)),
        ({"op": "extract", "pattern": r"([a-z]+)\W*(\d+)", "group": 2}, search(r"([a-z]+)\W*(\d+)", 2)),
        ({"op": "replace", "pattern": r"(\d)(\d)", "with": "${2}_$1"}, [re.sub(r"(\d)(\d)", r"\2_\1", text) for text in texts]),
    ]
    return [case(str(params), params, "s: utf8", column(texts), column(expect)) for params, expect in given]


def cast():
    random = np.random.default_rng(17)
    floats = np.concatenate([np.round(random.normal(0, 1e3, 20), 2), [0.5, 1.5, -0.5, -2.5, 1e18]])
    integers = random.integers(-(2**62), 2**62, 20)
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    micros = random.integers(-(2**50), 2**52, 20)
    times = [epoch + timedelta(microseconds=int(value)) for value in micros]
    text = lambda time: time.isoformat().replace("+00:00", "Z")
    shifted = [time.astimezone(timezone(timedelta(minutes=int(m)))).isoformat() for time, m in zip(times, random.integers(-720, 720, 20))]
    rounded = {"toward_zero": np.trunc, "nearest": np.rint, "floor": np.floor, "ceil": np.ceil}
    cases = [
        case(name, {"to": "int64", "rounding": name}, "x: float64", column(floats), column(round(floats).astype(np.int64)))
        for name, round in rounded.items()
    ]
    return cases + [
        case("integers to floats", {"to": "float64"}, "i: int64", column(integers), column(integers.astype(np.float64))),
        case("floats to text", {"to": "utf8"}, "x: float64", column(floats[:-1]), column([repr(float(x)) for x in floats[:-1]])),
        case("text to floats", {"to": "float64"}, "s: utf8", column([repr(float(x)) for x in floats]), column(floats)),
        case("times to text", {"to": "utf8"}, "t: timestamp", column(micros), column([text(time) for time in times])),
        case("text to times", {"to": "timestamp"}, "s: utf8", column([text(time) for time in times]), column(micros)),
        case("text with offsets to times", {"to": "timestamp"}, "s: utf8", column(shifted), column(micros)),
    ]


MAKERS = {
    "arith": ("NumPy", arith),
    "bucketize": ("numpy.digitize and pandas.cut", bucketize),
    "cast": ("NumPy and Python's datetime", cast),
    "clip": ("numpy.clip", clip),
    "hash-encode": ("sklearn.feature_extraction.FeatureHasher", hash_encode),
    "one-hot": ("sklearn.preprocessing.OneHotEncoder", one_hot),
    "power": ("NumPy and sklearn.preprocessing.PowerTransformer", power),
    "scale": ("sklearn.preprocessing: StandardScaler, MinMaxScaler, RobustScaler", scale),
    "string": ("Python's str and re", string_cases),
    "target-encode": ("sklearn.preprocessing.TargetEncoder", target_encode),
    "time-parts": ("pandas with the zones of tzdata", time_parts),
}
