"""What other software says of the aggregates."""

import json

import duckdb
import numpy as np
import pandas as pd
from scipy import stats

from transforms import carriers, case, column, delays

SECOND = 1_000_000


def times(seed, count=30):
    """Event times in microseconds, out of order and all different."""
    random = np.random.default_rng(seed)
    return random.choice(np.arange(1, 4000), count, replace=False) * SECOND // 4


def query(sql, **columns):
    """The one row that a query over the columns, as the table `t`, gives."""
    t = pd.DataFrame(columns)  # noqa: F841, DuckDB finds it by its name
    return list(duckdb.sql(sql).fetchall()[0])


def moments():
    cases = []
    for name, values in [("delays", delays(101)), ("far from 0", np.random.default_rng(102).normal(1e3, 5, 30))]:
        series = pd.Series(values)
        expect = [series.count(), series.sum(), series.mean(), series.min(), series.max(), series.std(), series.skew(), series.kurt()]
        cases.append(case(name, {}, "x: float64", column(values), expect, 1e-9))
    return cases


def first():
    values, when = delays(103), times(104)
    expect = pd.DataFrame({"x": values, "t": when}).sort_values("t").x.iloc[0]
    return [case("delays", {}, "x: float64", list(zip(values, when)), [expect])]


def last():
    values, when = delays(122), times(123)
    expect = pd.DataFrame({"x": values, "t": when}).sort_values("t").x.iloc[-1]
    return [case("delays", {}, "x: float64", list(zip(values, when)), [expect])]


def distinct():
    cases = []
    for name, offered, values in [("texts", "x: utf8", carriers(124, 60)), ("integers", "x: int64", np.random.default_rng(125).integers(-99, 99, 120))]:
        cases.append(case(name, {}, offered, column(values), query("select count(distinct x) from t", x=values)))
    return cases


def last_n():
    values, when = carriers(105, 30), times(106)
    expect = pd.DataFrame({"x": values, "t": when}).sort_values("t").x.iloc[::-1].head(4)
    return [case("carriers", {"n": 4}, "x: utf8", list(zip(values, when)), list(expect))]


def extrema():
    values, args, when = delays(107), carriers(108, 30), times(109)
    sql = "select min(x), max(x), arg_min(t, x), arg_max(t, x), arg_min(a, x), arg_max(a, x) from t"
    expect = query(sql, x=values, a=args, t=when)
    return [case("delays of carriers", {}, "x: float64, a: utf8", list(zip(values, args, when)), expect)]


def quantiles():
    percentiles = [0, 1, 10, 50, 75, 99, 100]
    values = np.unique(np.concatenate([delays(110, 120)]))
    values = np.random.default_rng(111).permutation(values)
    expect = np.percentile(values, percentiles, method="inverted_cdf")
    return [case("no more values than k", {"percentiles": percentiles}, "x: float64", column(values), expect)]


def top_k():
    values = carriers(112, 60)
    sql = "select x, count(*) as n from t group by x order by n desc, encode(x) limit 3"
    t = pd.DataFrame({"x": values})  # noqa: F841
    expect = [value for row in duckdb.sql(sql).fetchall() for value in row]
    return [case("carriers", {"k": 3}, "x: utf8", column(values), [*expect, 0])]


def ewma():
    values, when = delays(113), times(114)
    frame = pd.DataFrame({"x": values, "t": pd.to_datetime(when, unit="us")}).sort_values("t")
    expect = frame.x.ewm(halflife=pd.Timedelta(seconds=90), times=frame.t).mean().iloc[-1]
    weight = np.sum(0.5 ** ((when.max() - when) / SECOND / 90))
    return [case("half a minute and a half", {"half_life_seconds": 90}, "x: float64", list(zip(values, when)), [expect, weight], 1e-12)]


def rate():
    when = times(115)
    between = pd.Series(pd.to_datetime(np.sort(when), unit="us")).diff().mean() / pd.Timedelta(minutes=1)
    rows = list(zip([1] * len(when), when))
    return [
        case("the inverse mean time between events", {"per_seconds": 60}, "x: int64", rows, [1 / between, len(when)], 1e-6),
        case("in a window", {"window_seconds": 1000}, "x: int64", rows, [len(when) / 1000, len(when)]),
    ]


def histogram():
    values, edges = delays(116), [-5.0, 0.0, 12.5, 40.0]
    counts, _ = np.histogram(values, [-np.inf, *edges, np.inf])
    return [
        case("counts", {"edges": edges}, "x: float64", column(values), counts),
        case("shares", {"edges": edges, "shares": True}, "x: float64", column(values), counts / len(values)),
    ]


def bool_counts():
    values = [[True, False, None][at] for at in np.random.default_rng(117).integers(0, 3, 40)]
    sql = "select count(*) filter (x), count(*) filter (not x), count(*) filter (x is null), avg(x::int) from t"
    return [case("lateness", {}, "x: bool?", column(values), query(sql, x=pd.Series(values, dtype="boolean")))]


def collect_set():
    texts, integers = carriers(118), np.random.default_rng(119).integers(-50, 50, 40)
    listed = lambda values: json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    [found] = query("select list_sort(list(distinct x)) from t", x=texts)
    [smallest] = query("select list_sort(list(distinct x))[:10] from t", x=integers)
    [count] = query("select count(distinct x) from t", x=integers)
    return [
        case("texts", {}, "x: utf8", column(texts), [listed(found), len(found), True]),
        case("the ten smallest", {"limit": 10}, "x: int64", column(integers), [listed([int(x) for x in smallest]), 10, count <= 10]),
    ]


def correlation():
    x = delays(120)
    y = 3.0 - 0.5 * x + np.random.default_rng(121).normal(0, 4, len(x))
    fit = stats.linregress(x, y)
    expect = [len(x), np.cov(x, y)[0, 1], fit.rvalue, fit.slope, fit.intercept]
    return [case("a line with noise", {}, "x: float64, y: float64", list(zip(x, y)), expect, 1e-12)]


MAKERS = {
    "bool-counts": ("DuckDB", bool_counts),
    "collect-set": ("DuckDB", collect_set),
    "correlation": ("numpy.cov and scipy.stats.linregress", correlation),
    "distinct": ("DuckDB, where the sketch is exact", distinct),
    "ewma": ("pandas.Series.ewm", ewma),
    "extrema": ("DuckDB", extrema),
    "first": ("pandas", first),
    "histogram": ("numpy.histogram", histogram),
    "last": ("pandas", last),
    "last-n": ("pandas", last_n),
    "moments": ("pandas", moments),
    "quantiles": ("numpy.percentile", quantiles),
    "rate": ("pandas", rate),
    "top-k": ("DuckDB", top_k),
}
