#!/usr/bin/env python3
"""Measures replays of the shipped flights, repeated to any size, beside DuckDB and Polars.

    python3 -m venv venv && venv/bin/pip install duckdb polars pyarrow
    cargo build --locked --release --bin oast
    venv/bin/python tests/benches/replay.py --oast target/release/oast

The flights of a month are repeated one month after the other, and spread evenly so that the spine has the size asked for. Two
entities (carrier and origin), windows of 1h, 24h and 7d, `moments` and `last`; then an as-of join of `latest`. Each program
runs by itself, with two threads, reads Parquet and writes Parquet. DuckDB and Polars compute windows by event time alone:
neither offers visibility or the sawtooth. Prints CPU and wall seconds and the peak of memory.
"""

import argparse
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
DEMO = HERE.parents[1] / "host" / "cli" / "demo"
MONTH = 31 * 86_400 * 1_000_000
SOURCE = """
[source.departures]
keys = { carrier = "utf8", origin = "utf8" }
event_time = "sched_time"
available_time = "dep_time"
fields = { flight_id = "utf8", dest = "utf8", tailnum = "utf8?", distance = "float64", dep_delay = "float64?" }
max_future = "1h"
"""
WINDOWED = """
[view.{entity}_delay]
source = "departures"
entity = ["{entity}"]

[[view.{entity}_delay.aggregate]]
plugin = "moments"
input = ["dep_delay"]
windows = ["1h", "24h", "7d"]
outputs = ["count", "sum", "mean", "min", "max", "stddev"]

[[view.{entity}_delay.aggregate]]
plugin = "last"
input = ["dep_delay"]
windows = ["1h", "24h", "7d"]
"""
LATEST = """
[view.{entity}_latest]
source = "departures"
entity = ["{entity}"]
latest = ["dep_delay", "distance"]
"""
SERVICES = """
[service.windowed]
features = ["carrier_delay:*", "origin_delay:*"]

[service.latest]
features = ["carrier_latest:*", "origin_latest:*"]
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--oast", type=pathlib.Path, required=True, help="the release build of oast")
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--spine", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scales", type=float, nargs="*", default=[1.0], help="for example 0.5 1 2 4")
    parser.add_argument("--peers", nargs="*", default=["duckdb", "polars"], help="none to measure Oast alone")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=pathlib.Path, help="the folder to work in; a temporary one by default")
    options = parser.parse_args()
    if options.peer:
        return PEERS[options.peer](options.work, options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or pathlib.Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        publish(options.oast, work)
        print(f"{'events':>10} {'spine':>10}  {'what':<18} {'CPU s':>8} {'wall s':>8} {'MiB':>7} {'spine rows/s':>13}")
        for scale in options.scales:
            measure(options, work, int(options.events * scale), int(options.spine * scale))


def publish(oast, work):
    views = "".join(text.format(entity=entity) for text in (WINDOWED, LATEST) for entity in ("carrier", "origin"))
    (work / "oast.toml").write_text(SOURCE + views + SERVICES)
    subprocess.run([oast.resolve(), "apply"], cwd=work, check=True, stdout=subprocess.DEVNULL)


def measure(options, work, events, spine):
    repeat(work, events, spine)
    for service in ("windowed", "latest"):
        replay = [options.oast.resolve(), "replay", "--service", service, "--spine", "spine.parquet"]
        replay += ["--events", "departures=events.parquet", "--out", f"{service}.parquet"]
        report(f"oast {service}", replay + ["--threads", str(options.threads)], work, events, spine)
    for peer in options.peers:
        for what in ("windowed", "latest"):
            command = [sys.executable, __file__, "--oast", options.oast, "--work", ".", "--peer", f"{peer}-{what}"]
            report(f"{peer} {what}", command + ["--threads", str(options.threads)], work, events, spine)


def repeat(work, events, spine):
    """Writes that many events and spine rows: the month again and again, each copy a month after the one before."""
    import pyarrow
    import pyarrow.compute as compute
    import pyarrow.parquet as parquet

    month, asked = (parquet.read_table(DEMO / f"{name}.parquet") for name in ("departures", "spine"))
    copies = -(-events // month.num_rows)
    every = max(1, copies * asked.num_rows // spine)

    def write(name, table, times, take):
        path, left = work / name, take
        with parquet.ParquetWriter(path, table.schema) as writer:
            for copy in range(copies):
                part = table.slice(0, min(left, table.num_rows))
                left -= part.num_rows
                for column in times:
                    at = part.schema.get_field_index(column)
                    micros = compute.add(part[column].cast("int64"), copy * MONTH)
                    part = part.set_column(at, table.schema.field(at), micros.cast(table.schema.field(at).type))
                writer.write_table(part)

    write("events.parquet", month, ["sched_time", "dep_time"], events)
    sampled = asked.take(pyarrow.array(range(0, asked.num_rows, every)))
    write("spine.parquet", sampled, ["event_timestamp"], spine)


def report(what, command, work, events, spine):
    environment = dict(os.environ, POLARS_MAX_THREADS="2")
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = subprocess.Popen(command, cwd=work, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begun
    if status:
        sys.exit(f"{what} failed")
    cpu = usage.ru_utime + usage.ru_stime
    size = f"{events:>10,} {spine:>10,}"
    print(f"{size}  {what:<18} {cpu:>8.1f} {wall:>8.1f} {usage.ru_maxrss / 1024:>7,.0f} {spine / wall:>13,.0f}", flush=True)


def duckdb_windowed(work, threads):
    """Windows by event time: a range join is far slower than window functions over events and spine together."""
    import duckdb

    aggregates = "count(v) {w} AS n_{name}, sum(v) {w} AS s_{name}, avg(v) {w} AS a_{name}, min(v) {w} AS l_{name}, "
    aggregates += "max(v) {w} AS h_{name}, stddev_samp(v) {w} AS d_{name}, last_value(v IGNORE NULLS) {w} AS f_{name}"
    lengths = {"1h": "1 hour", "24h": "24 hours", "7d": "7 days"}

    def features(entity):
        columns = ", ".join(aggregates.format(w=f"OVER w{name}", name=f"{entity}_{name}") for name in lengths)
        frames = ", ".join(
            f"w{name} AS (PARTITION BY {entity} ORDER BY t RANGE BETWEEN INTERVAL {length} PRECEDING "
            "AND INTERVAL 1 microsecond PRECEDING)" for name, length in lengths.items())
        return f"""SELECT * EXCLUDE (v, t) FROM (SELECT {entity}, t, v, row, {columns} FROM (
            SELECT {entity}, sched_time AS t, dep_delay AS v, NULL AS row FROM 'events.parquet' UNION ALL
            SELECT {entity}, event_timestamp, NULL, file_row_number FROM read_parquet('spine.parquet', file_row_number=true)
        ) WINDOW {frames}) WHERE row IS NOT NULL"""

    connection = duckdb.connect(config={"threads": threads})
    connection.execute(f"""COPY (SELECT spine.*, c.* EXCLUDE (carrier, row), o.* EXCLUDE (origin, row)
        FROM read_parquet('spine.parquet', file_row_number=true) spine
        JOIN ({features("carrier")}) c ON c.row = file_row_number
        JOIN ({features("origin")}) o ON o.row = file_row_number
        ORDER BY file_row_number) TO 'duckdb.parquet'""")


def duckdb_latest(work, threads):
    import duckdb

    def joined(entity):
        return f"""ASOF LEFT JOIN (SELECT {entity}, sched_time, dep_delay AS {entity}_delay, distance AS {entity}_distance
            FROM 'events.parquet') {entity}s ON {entity}s.{entity} = spine.{entity} AND {entity}s.sched_time < event_timestamp"""

    connection = duckdb.connect(config={"threads": threads})
    connection.execute(f"""COPY (SELECT spine.*, carrier_delay, carrier_distance, origin_delay, origin_distance
        FROM 'spine.parquet' spine {joined("carrier")} {joined("origin")}) TO 'duckdb.parquet'""")


def polars_windowed(work, threads):
    import polars

    events, spine = polars.read_parquet("events.parquet"), polars.read_parquet("spine.parquet").with_row_index("row")
    value = polars.col("v")
    answer = spine
    for entity in ("carrier", "origin"):
        rows = polars.concat([
            events.select(entity, t="sched_time", v="dep_delay", row=polars.lit(None, polars.UInt32)),
            spine.select(entity, t="event_timestamp", v=polars.lit(None, polars.Float64), row="row"),
        ]).sort(entity, "t")
        for name in ("1h", "24h", "7d"):
            windows = rows.rolling("t", period=name, closed="left", group_by=entity).agg(
                value.count().alias("count"), value.sum().alias("sum"), value.mean().alias("mean"), value.min().alias("min"),
                value.max().alias("max"), value.std().alias("stddev"), value.drop_nulls().last().alias("last"),
                polars.col("row").last().alias("unused"))
            windows = windows.select(polars.exclude(entity, "t", "unused").name.suffix(f"_{entity}_{name}"))
            part = windows.with_columns(row=rows["row"]).filter(polars.col("row").is_not_null())
            answer = answer.join(part, on="row", how="left", maintain_order="left")
    answer.write_parquet("polars.parquet")


def polars_latest(work, threads):
    import polars

    answer = polars.read_parquet("spine.parquet").with_row_index("row").sort("event_timestamp")
    for entity in ("carrier", "origin"):
        events = polars.read_parquet("events.parquet", columns=[entity, "sched_time", "dep_delay", "distance"])
        answer = answer.join_asof(
            events.sort("sched_time"), left_on="event_timestamp", right_on="sched_time", by=entity, strategy="backward",
            allow_exact_matches=False, suffix=f"_{entity}")
    answer.sort("row").write_parquet("polars.parquet")


PEERS = {
    "duckdb-windowed": duckdb_windowed,
    "duckdb-latest": duckdb_latest,
    "polars-windowed": polars_windowed,
    "polars-latest": polars_latest,
}

if __name__ == "__main__":
    main()
