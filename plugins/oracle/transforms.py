"""What other software says of the row transforms."""

import base64
import hashlib
import hmac
import json
import re
import string
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import h3
import numpy as np
import pandas as pd
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.metrics.pairwise import haversine_distances
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
    normalize,
)


def case(name, params, offered, rows, expect, tolerance=0.0):
    return {"name": name, "params": params, "offered": offered, "rows": rows, "expect": expect, "tolerance": tolerance}


def column(values):
    return [[value] for value in values]


def delays(seed, count=30):
    """Numbers with the long tail of delays."""
    return np.round(np.random.default_rng(seed).exponential(20.0, count) - 8.0, 3)


def fill():
    values = [None if x < 0 else x for x in delays(20)]
    expect = pd.Series(values, dtype="float64").fillna(1.5)
    return [case("delays", {"x": 1.5}, "x: float64?", column(values), column(expect))]


def filter_cases():
    values, names = delays(21), carriers(22, 30)
    frame = pd.DataFrame({"x": values, "carrier": names})
    kept = frame.index.isin(frame.query("x >= 0 and x < 30 and carrier in ['AA', 'UA', 'é']").index)
    where = [
        {"column": "x", "op": ">=", "value": 0},
        {"column": "x", "op": "<", "value": 30},
        {"column": "carrier", "op": "in", "value": ["AA", "UA", "é"]},
    ]
    expect = [[] if keep else "drop" for keep in kept]
    return [case("a query", {"where": where}, "x: float64, carrier: utf8", list(zip(values, names)), expect)]


def ratio():
    x, y = delays(23), np.round(delays(24))
    with np.errstate(divide="ignore", invalid="ignore"):
        expect = np.where(y == 0, 0.5, x / y)
    return [case("delays", {"zero": 0.5}, "x: float64, y: float64", list(zip(x, y)), column(expect))]


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


def text_hash():
    texts = ["Delayed by snow, delayed again", "JFK to LAX: 2475 miles", "", "Größe naïve über", "a b cd e_f 12", "to be or not to be"]
    cases = []
    for width, ngram_max, norm, lowercase in [(16, 1, "l2", True), (32, 3, "l1", False), (8, 2, "none", True)]:
        hasher = HashingVectorizer(n_features=width, ngram_range=(1, ngram_max), norm=None if norm == "none" else norm, lowercase=lowercase)
        expect = hasher.transform(texts).toarray().astype(np.float32)
        params = {"width": width, "ngram_max": ngram_max, "norm": norm, "lowercase": lowercase}
        cases.append(case(f"{ngram_max} words, {norm}", params, "s: utf8", column(texts), [[row] for row in expect]))
    return cases


def geohash(lat, lon, precision):
    """By the definition: the bits of both coordinates, scaled to integers, interleaved."""
    bits = precision * 5
    scaled = lambda value, low, high, width: min(int((value - low) / (high - low) * 2**width), 2**width - 1)
    x, y = scaled(lon, -180, 180, (bits + 1) // 2), scaled(lat, -90, 90, bits // 2)
    woven = 0
    for bit in range(bits):
        source, width = (x, (bits + 1) // 2) if bit % 2 == 0 else (y, bits // 2)
        woven = woven << 1 | source >> (width - 1 - bit // 2) & 1
    return "".join("0123456789bcdefghjkmnpqrstuvwxyz"[woven >> shift & 31] for shift in range(bits - 5, -1, -5))


def geo():
    random = np.random.default_rng(18)
    places = np.round(np.column_stack([random.uniform(-90, 90, 20), random.uniform(-180, 180, 20)] * 2)[:, [0, 1, 2, 3]], 5)
    places[:, 2:] = np.roll(places[:, :2], 1, axis=0)
    distances = [haversine_distances(np.radians([row[:2], row[2:]]))[0, 1] * 6371.0088 for row in places]
    offered = "lat1: float64, lon1: float64, lat2: float64, lon2: float64"
    cells = {resolution: [h3.latlng_to_cell(lat, lon, resolution) for lat, lon in places[:, :2]] for resolution in (0, 8, 15)}
    hashes = [geohash(lat, lon, 9) for lat, lon in places[:, :2]]
    return [
        case("distances", {"op": "haversine"}, offered, places, column(distances), 1e-12),
        case("geohashes", {"op": "geohash", "precision": 9}, "lat: float64, lon: float64", places[:, :2], column(hashes)),
        *(case(f"H3 of {resolution}", {"op": "h3", "resolution": resolution}, "lat: float64, lon: float64", places[:, :2], column(found)) for resolution, found in cells.items()),
    ]


def json_extract():
    documents = [
        {"user": {"name": "Ann", "tags": ["a", "é"], "age": 41, "score": 0.25, "vip": True}},
        {"user": {"name": None, "tags": [], "age": -7, "score": 3, "vip": False}},
        {"user": {"name": "Bob \\ \"x\"", "tags": ["only"], "age": 2**53 + 1, "score": 1e-9, "vip": True}},
        {"user": {}},
    ]
    rows = column([json.dumps(document) for document in documents])
    users = [document["user"] for document in documents]
    given = {("/user/name", "utf8"): "name", ("/user/age", "int64"): "age", ("/user/score", "float64"): "score", ("/user/vip", "bool"): "vip"}
    cases = [
        case(pointer, {"pointer": pointer, "type": to}, "s: utf8", rows, column([user.get(key) for user in users]), 1e-15)
        for (pointer, to), key in given.items()
    ]
    tags = column([(user.get("tags") or [None])[0] for user in users])
    return [*cases, case("/user/tags/0", {"pointer": "/user/tags/0", "type": "utf8"}, "s: utf8", rows, tags)]


def normalize_vector():
    vectors = np.random.default_rng(19).normal(0, 3, (12, 5)).astype(np.float32)
    vectors[3] = 0
    return [
        case(norm, {"norm": norm}, "v: vector[5]", [[v] for v in vectors], [[v] for v in normalize(vectors, norm)], 1e-6)
        for norm in ["l1", "l2", "max"]
    ]


def hash_pii():
    key, texts = "correct horse battery staple", ["ann@example.org", "", "né 🛩"]
    mac = lambda text: hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()
    base32 = lambda data: base64.b32encode(data).decode().lower().rstrip("=")
    return [
        case("hex", {"key": key}, "s: utf8", column(texts), column([mac(text).hex() for text in texts])),
        case("numbers", {"key": key, "bytes": 16}, "i: int64", [[-5], [2**60]], column([mac(text).hex()[:32] for text in ["-5", str(2**60)]])),
        case("base32", {"key": key, "bytes": 11, "encoding": "base32"}, "s: utf8", column(texts), column([base32(mac(text)[:11]) for text in texts])),
    ]


MAKERS = {
    "arith": ("NumPy", arith),
    "bucketize": ("numpy.digitize and pandas.cut", bucketize),
    "cast": ("NumPy and Python's datetime", cast),
    "clip": ("numpy.clip", clip),
    "fill": ("pandas.Series.fillna", fill),
    "filter": ("pandas.DataFrame.query", filter_cases),
    "geo": ("sklearn.metrics.pairwise.haversine_distances, the definition of geohash, and h3", geo),
    "hash-encode": ("sklearn.feature_extraction.FeatureHasher", hash_encode),
    "hash-pii": ("Python's hmac and base64", hash_pii),
    "json-extract": ("Python's json", json_extract),
    "normalize-vector": ("sklearn.preprocessing.normalize", normalize_vector),
    "one-hot": ("sklearn.preprocessing.OneHotEncoder", one_hot),
    "power": ("NumPy and sklearn.preprocessing.PowerTransformer", power),
    "ratio": ("NumPy", ratio),
    "scale": ("sklearn.preprocessing: StandardScaler, MinMaxScaler, RobustScaler", scale),
    "string": ("Python's str and re", string_cases),
    "target-encode": ("sklearn.preprocessing.TargetEncoder", target_encode),
    "text-hash": ("sklearn.feature_extraction.text.HashingVectorizer", text_hash),
    "time-parts": ("pandas with the zones of tzdata", time_parts),
}
