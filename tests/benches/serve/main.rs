//! What the daemon costs its machine: the real process on loopback, with a load generator beside it.
//!
//! `cargo build --release -p oast-cli && cargo bench -p oast-tests --bench serve` prints a table. After `--`, `--seconds N` says how
//! long each line is measured, `--soak SECONDS` adds a run that watches the daemon's memory, and `--daemon FILE` names another
//! binary. Costs are processor time of the daemon by `/proc`, so that the generator beside it does not count.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

mod client;
mod daemon;

use std::{
    num::NonZero,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use oast_core::{Batch, ColumnBuilder, Schema, Timestamp, Value};
use serde_json::json;

use client::{Request, closed_loop, open_loop, percentile};
use daemon::Daemon;

const DEFINITION: &str = include_str!("oast.toml");
const ARROW: &str = "application/vnd.apache.arrow.stream";
const USERS: usize = 1000;
const EVENTS_PER_BATCH: usize = 20_000;
/// How many events a daemon takes in at least, where the targets of this project say so.
const EVENTS_A_SECOND: f64 = 100_000.0;
/// Connections of the generator: enough to keep two cores busy.
const CONNECTIONS: usize = 4;
/// How often two kinds of requests take turns when they are compared.
const TURNS: u32 = 9;
/// What the daemon's share of a lookup takes at most, where the targets of this project say so.
const STORED_TO_CONSTANT: f64 = 3.0;

struct Options {
    daemon: PathBuf,
    seconds: Duration,
    soak: Duration,
}

impl Options {
    fn read() -> anyhow::Result<Self> {
        let beside = std::env::current_exe()?;
        let daemon = beside.ancestors().nth(2).map(|folder| folder.join("oast")).unwrap_or_default();
        let mut options = Self { daemon, seconds: Duration::from_secs(5), soak: Duration::ZERO };
        let mut args = std::env::args().skip(1);
        while let Some(flag) = args.next() {
            let mut value = || args.next().ok_or_else(|| anyhow::anyhow!("{flag} needs a value"));
            match flag.as_str() {
                "--daemon" => options.daemon = value()?.into(),
                "--seconds" => options.seconds = Duration::from_secs(value()?.parse()?),
                "--soak" => options.soak = Duration::from_secs(value()?.parse()?),
                // What cargo says to every bench.
                "--bench" => {}
                other => anyhow::bail!("there is no flag {other}"),
            }
        }
        Ok(options)
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::read()?;
    let daemon = Daemon::start(&options.daemon, DEFINITION)?;
    fill(&daemon)?;
    line("what", "CPU of the daemon a request, µs", "requests/s", "p50 µs", "p99 µs");
    let constant = measure(&daemon, &options, "constant bytes", &constant())?;
    let stored = measure(&daemon, &options, "10 stored features, 1 entity", &lookup("stored", 1, false))?;
    let ratio = stored.cpu_us / constant.cpu_us;
    measure(&daemon, &options, "10 stored features, 100 entities", &lookup("stored", 100, false))?;
    let windows = lookup("windowed", 1, true);
    let saturated = measure(&daemon, &options, "3 windowed views + 1 derived, 1 entity", &windows)?;
    at_rate(&daemon, &options, &windows, saturated.rate / 2.0)?;
    println!("10 stored features to constant bytes: {ratio:.1} (target: at most {STORED_TO_CONSTANT})");
    println!("| {:<40} | {:>10} | {:>10} | {:>10} |", "events", "events/s", "lookups p50 µs", "lookups p99 µs");
    let batches = Ingestion { events_per_request: EVENTS_PER_BATCH, connections: 1, rate: None };
    ingest(&daemon, options.seconds, &batches)?;
    ingest(&daemon, options.seconds, &Ingestion { rate: Some(EVENTS_A_SECOND / EVENTS_PER_BATCH as f64), ..batches })?;
    for connections in [1, 16] {
        ingest(&daemon, options.seconds, &Ingestion { events_per_request: 1, connections, rate: None })?;
    }
    if !options.soak.is_zero() {
        soak(&daemon, options.soak)?;
    }
    daemon.stop()
}

fn line(what: &str, cpu: &str, rate: &str, median: &str, slowest: &str) {
    println!("| {what:<40} | {cpu:>32} | {rate:>10} | {median:>7} | {slowest:>7} |");
}

/// What one kind of request costs when it is all that the daemon does.
struct Cost {
    cpu_us: f64,
    rate: f64,
}

fn measure(daemon: &Daemon, options: &Options, what: &str, request: &Request) -> anyhow::Result<Cost> {
    closed_loop(daemon.address(), request, CONNECTIONS, options.seconds / 5)?;
    let (before, begun) = (daemon.cpu()?, Instant::now());
    let latencies = closed_loop(daemon.address(), request, CONNECTIONS, options.seconds)?;
    let (cpu, wall) = (daemon.cpu()? - before, begun.elapsed());
    let requests = latencies.len() as f64;
    let cost = Cost { cpu_us: cpu.as_secs_f64() * 1e6 / requests, rate: requests / wall.as_secs_f64() };
    let shown = |share| format!("{:.0}", percentile(&latencies, share));
    line(what, &format!("{:.1}", cost.cpu_us), &format!("{:.0}", cost.rate), &shown(0.5), &shown(0.99));
    Ok(cost)
}

/// What a request waits for at a rate that the daemon can take, and beside it what constant bytes wait for at that rate: what the
/// machine itself does to a tail. They take turns, and the turn in the middle stands for all, since a machine that is not all
/// one's own stops for milliseconds now and then.
fn at_rate(daemon: &Daemon, options: &Options, request: &Request, rate: f64) -> anyhow::Result<()> {
    let requests = [("the same at half that rate", request), ("constant bytes at the same rate", &constant())];
    let mut turns = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        for ((_, request), turns) in requests.iter().zip(&mut turns) {
            let latencies = open_loop(daemon.address(), request, rate, CONNECTIONS, options.seconds / TURNS)?;
            turns.push((percentile(&latencies, 0.99), percentile(&latencies, 0.5)));
        }
    }
    for ((what, _), turns) in requests.iter().zip(&mut turns) {
        turns.sort_unstable_by(|left, right| left.0.total_cmp(&right.0));
        let (p99, p50) = turns[turns.len() / 2];
        line(what, "", &format!("{rate:.0}"), &format!("{p50:.0}"), &format!("{p99:.0}"));
    }
    let [of_the_request, of_constant_bytes] = turns.map(|turns| {
        let p99s: Vec<_> = turns.iter().map(|(p99, _)| format!("{p99:.0}")).collect();
        p99s.join(" ")
    });
    println!("p99 µs of each turn at half that rate: {of_the_request}; of constant bytes: {of_constant_bytes}");
    let (pauses, paused) = pauses(options.seconds);
    println!("the machine itself, busy with nothing else: {pauses} pauses above 1 ms, {paused:.2} % of the time");
    Ok(())
}

/// How often, and for which share of the time, threads on all processors that do nothing but look at the clock see it jump.
fn pauses(time: Duration) -> (usize, f64) {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let watch = || {
        let (begun, mut last, mut jumps) = (Instant::now(), Instant::now(), Vec::new());
        while begun.elapsed() < time {
            let now = Instant::now();
            jumps.extend(Some(now - last).filter(|jump| *jump > Duration::from_millis(1)));
            last = now;
        }
        jumps
    };
    let jumps: Vec<_> = thread::scope(|scope| {
        let watching: Vec<_> = (0..processors).map(|_| scope.spawn(watch)).collect();
        watching.into_iter().flat_map(|thread| thread.join().expect("a clock is read")).collect()
    });
    let paused: Duration = jumps.iter().sum();
    (jumps.len(), 100.0 * paused.as_secs_f64() / (time.as_secs_f64() * processors as f64))
}

/// The same server, which says the same few bytes to everybody.
fn constant() -> Request {
    Request::get("/healthz")
}

fn lookup(service: &str, entities: usize, fields: bool) -> Request {
    let keys: Vec<_> = (0..entities).map(|at| json!({"user": user(at)})).collect();
    let fields = if fields { vec![json!({"amount": 3.5}); entities] } else { Vec::new() };
    let body = json!({"service": service, "entities": keys, "request": fields}).to_string();
    Request::post("/v1/lookup", "application/json", body.as_bytes())
}

fn user(at: usize) -> String {
    format!("user-{:04}", at % USERS)
}

/// Puts something behind every feature.
fn fill(daemon: &Daemon) -> anyhow::Result<()> {
    let mut connection = client::Connection::open(daemon.address())?;
    let names: Vec<_> = (0..10).map(|at| format!("f{at}")).collect();
    let fields: Vec<_> = names.iter().map(|name| (name.as_str(), "float64")).collect();
    for (source, columns, rows) in
        [("profiles", &fields[..], USERS), ("clicks", &[("amount", "float64")], EVENTS_PER_BATCH)]
    {
        connection.send(&Request::post(&format!("/v1/events/{source}"), ARROW, &events(columns, rows)?))?;
    }
    Ok(())
}

/// Events of now, as an Arrow stream.
fn events(numbers: &[(&str, &str)], rows: usize) -> anyhow::Result<Vec<u8>> {
    let fields = [("user", "utf8"), ("at", "timestamp")].iter().chain(numbers);
    let fields = fields.map(|(name, data_type)| oast_core::Field::parse(*name, data_type)).collect::<Result<_, _>>()?;
    let schema = Schema::new(fields)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let now = Timestamp::from_micros(i64::try_from(now.as_micros())?);
    let value = |column: usize, row: usize| match column {
        0 => Value::Utf8(user(row)),
        1 => Value::Timestamp(now),
        _ => Value::Float64((row * column % 997) as f64 / 8.0),
    };
    let column = |(at, field): (usize, &oast_core::Field)| {
        let mut builder = ColumnBuilder::new(field.data_type);
        (0..rows).for_each(|row| builder.push(Some(&value(at, row))));
        let mut column = builder.finish();
        column.validity = None;
        column
    };
    let columns = schema.fields().iter().enumerate().map(column).collect();
    Ok(oast_runtime::arrow_stream(&schema, &Batch { rows, columns })?)
}

/// Appends events, durable before the next are sent, while lookups go on; says how many events a second. With a `rate` of requests
/// a second, no more than these are sent.
fn ingest(daemon: &Daemon, time: Duration, how: &Ingestion) -> anyhow::Result<()> {
    let Ingestion { events_per_request, connections, rate } = *how;
    let body = events(&[("amount", "float64")], events_per_request)?;
    let request = Request::post("/v1/events/clicks", ARROW, &body);
    let windows = lookup("windowed", 1, true);
    let (appended, looked_up) = thread::scope(|scope| {
        let appends = scope.spawn(|| match rate {
            Some(rate) => open_loop(daemon.address(), &request, rate, connections, time),
            None => closed_loop(daemon.address(), &request, connections, time),
        });
        let lookups = open_loop(daemon.address(), &windows, 100.0, 1, time);
        (appends.join().expect("the appending thread does not panic"), lookups)
    });
    let (appended, looked_up) = (appended?, looked_up?);
    let rate = (appended.len() * events_per_request) as f64 / time.as_secs_f64();
    let connections = if connections == 1 { "1 connection".to_owned() } else { format!("{connections} connections") };
    println!(
        "| {:<40} | {rate:>10.0} | {:>10.0} | {:>10.0} |",
        format!("{events_per_request} a request, {connections}"),
        percentile(&looked_up, 0.5),
        percentile(&looked_up, 0.99),
    );
    Ok(())
}

struct Ingestion {
    events_per_request: usize,
    connections: usize,
    rate: Option<f64>,
}

/// Looks up and appends for a while, and says how the daemon's memory goes.
fn soak(daemon: &Daemon, time: Duration) -> anyhow::Result<()> {
    const PARTS: u32 = 10;
    let batch = Request::post("/v1/events/clicks", ARROW, &events(&[("amount", "float64")], 1000)?);
    let windows = lookup("windowed", 10, true);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let lookups = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                closed_loop(daemon.address(), &windows, CONNECTIONS, time / PARTS)?;
            }
            Ok::<_, anyhow::Error>(())
        });
        for part in 1..=PARTS {
            open_loop(daemon.address(), &batch, 10.0, 1, time / PARTS)?;
            println!("soak: {} s, {} MiB resident", (time * part / PARTS).as_secs(), daemon.resident_bytes()? >> 20);
        }
        done.store(true, Ordering::Relaxed);
        lookups.join().expect("the thread of lookups does not panic")
    })
}
