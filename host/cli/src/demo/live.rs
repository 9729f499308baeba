use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::ensure;
use oast_runtime::{Arrival, LookupResponse, Progress, Timestamp};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{
    LIVE_FROM, SERVICE, SOURCE,
    daemon::Daemon,
    flights::{Asked, Flights},
    steps::Steps,
};
use crate::{
    http::JSON_LINES,
    output::{Table, thousands},
};

/// What the daemon said in the live week.
pub(super) struct Served {
    pub(super) features: Vec<String>,
    /// By row of the spine.
    pub(super) rows: BTreeMap<usize, Vec<Json>>,
    pub(super) tally: Tally,
}

/// How much passed over HTTP, and how fast.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    pub(super) events: u64,
    pub(super) requests: u64,
    pub(super) flights: u64,
    pub(super) seconds: f64,
    pub(super) lookup_us_p50: f64,
    pub(super) lookup_us_p99: f64,
    pub(super) append_us_p50: f64,
}

/// The week, moment by moment: what has become known since the last one goes in, then every flight scheduled for that moment
/// is looked up, all in one request.
pub(super) fn live_week(daemon: &Daemon, flights: &Flights, steps: &Steps) -> anyhow::Result<Served> {
    let moments = moments(flights);
    steps.phase("live week", Some(moments.values().map(|rows| rows.len() as u64).sum()));
    let begun = Instant::now();
    let mut week = Week::new(daemon, flights);
    for (at, rows) in &moments {
        week.append_until(*at)?;
        week.look_up(*at, rows)?;
        steps.advance(rows.len() as u64);
    }
    week.append_until(Timestamp::MAX)?;
    let served = week.finish(begun.elapsed());
    let Tally { events, flights, requests, seconds, .. } = &served.tally;
    let (events, flights, requests) = (thousands(*events), thousands(*flights), thousands(*requests));
    let what = format!("the week from 25 January: {events} departures in, {flights} flights looked up");
    steps.done("live", &what)?;
    tracing::debug!(requests, seconds, "the live week is over");
    Ok(served)
}

/// The rows of the spine in the live week, by scheduled time.
fn moments(flights: &Flights) -> BTreeMap<Timestamp, Vec<usize>> {
    let mut moments = BTreeMap::<_, Vec<_>>::new();
    let live = flights.asked.iter().enumerate().filter(|(_, asked)| asked.at >= LIVE_FROM);
    live.for_each(|(row, asked)| moments.entry(asked.at).or_default().push(row));
    moments
}

/// The week so far.
struct Week<'a> {
    daemon: &'a Daemon,
    flights: &'a Flights,
    /// The next departure to tell the daemon of.
    next: usize,
    lookups: Vec<Duration>,
    appends: Vec<Duration>,
    served: Served,
}

impl<'a> Week<'a> {
    fn new(daemon: &'a Daemon, flights: &'a Flights) -> Self {
        let departures = &flights.departures;
        let is_history = |row: &usize| departures.time(*row, "dep_time").is_some_and(|time| time < LIVE_FROM);
        let next = (0..departures.rows.rows).take_while(is_history).count();
        let served = Served { features: Vec::new(), rows: BTreeMap::new(), tally: Tally::default() };
        Self { daemon, flights, next, lookups: Vec::new(), appends: Vec::new(), served }
    }

    /// Sends the departures that became known before `time`.
    fn append_until(&mut self, time: Timestamp) -> anyhow::Result<()> {
        let departures = &self.flights.departures;
        let is_known = |row: &usize| departures.time(*row, "dep_time").is_some_and(|known| known < time);
        let lines: Vec<_> =
            (self.next..departures.rows.rows).take_while(is_known).map(|row| departures.json_line(row)).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let report = self.daemon.client.append(SOURCE, Arrival::Live, JSON_LINES, lines.concat().as_bytes())?;
        self.appends.push(begun.elapsed());
        ensure!(report.accepted == lines.len() as u64, "the daemon refused departures: {report:?}");
        self.next += lines.len();
        self.served.tally.events += report.accepted;
        Ok(())
    }

    fn look_up(&mut self, at: Timestamp, rows: &[usize]) -> anyhow::Result<()> {
        let asked: Vec<_> = rows.iter().map(|row| &self.flights.asked[*row]).collect();
        let request = json!({
            "service": SERVICE,
            "at": at.to_string(),
            "entities": asked.iter().map(|asked| asked.entity()).collect::<Vec<_>>(),
            "request": asked.iter().map(|asked| json!({"distance": asked.distance})).collect::<Vec<_>>(),
        });
        let begun = Instant::now();
        let response: LookupResponse = self.daemon.client.lookup(&request)?;
        self.lookups.push(begun.elapsed());
        ensure!(response.rows.len() == rows.len(), "{} rows came for {} entities", response.rows.len(), rows.len());
        self.served.tally.flights += rows.len() as u64;
        self.served.rows.extend(rows.iter().copied().zip(response.rows.into_iter().map(|row| row.values)));
        self.served.features = response.features;
        Ok(())
    }

    fn finish(mut self, took: Duration) -> Served {
        let tally = &mut self.served.tally;
        tally.requests = (self.lookups.len() + self.appends.len()) as u64;
        tally.seconds = took.as_secs_f64();
        tally.lookup_us_p50 = quantile_us(&mut self.lookups, 0.5);
        tally.lookup_us_p99 = quantile_us(&mut self.lookups, 0.99);
        tally.append_us_p50 = quantile_us(&mut self.appends, 0.5);
        self.served
    }
}

impl Asked {
    /// The entity as a lookup names it.
    pub(super) fn entity(&self) -> Json {
        json!({"carrier": self.carrier, "origin": self.origin})
    }
}

/// The smallest time that this share of the times does not exceed, in microseconds.
pub(super) fn quantile_us(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let place = (times.len() as f64 * share).ceil() as usize;
    times.get(place.saturating_sub(1)).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

/// The features that the samples show, and what to call them.
const SHOWN: [(&str, &str); 5] = [
    ("carrier_delay__dep_delay_mean_1h", "carrier, 1 h"),
    ("carrier_delay__dep_delay_mean_7d", "7 d"),
    ("origin_delay__dep_delay_mean_1h", "airport, 1 h"),
    ("origin_delay__tailnum_distinct_24h", "planes, 24 h"),
    ("delay_trend", "trend"),
];

impl Served {
    /// A few of the answers, as a table.
    pub(super) fn print_samples(&self, flights: &Flights, steps: &Steps) -> anyhow::Result<()> {
        let mut head = vec!["flight at", "carrier", "airport"];
        head.extend(SHOWN.iter().map(|(_, name)| *name));
        let mut table = Table::new(&head).right(&[3, 4, 5, 6, 7]);
        for (row, asked) in ["UA", "B6", "AA"].iter().filter_map(|carrier| self.sample(flights, carrier)) {
            let cells = [minute(asked.at), asked.carrier.clone(), asked.origin.clone()];
            table.row(cells.into_iter().chain(SHOWN.iter().map(|(feature, _)| self.cell(row, feature))));
        }
        steps.say("")?;
        table.lines("      ").iter().try_for_each(|line| steps.say(line))?;
        steps.say("")
    }

    /// The carrier's last flight of the week before midnight in New York.
    fn sample<'f>(&self, flights: &'f Flights, carrier: &str) -> Option<(usize, &'f Asked)> {
        let rows = self.rows.keys().map(|row| (*row, &flights.asked[*row]));
        rows.filter(|(_, asked)| asked.carrier == carrier).max_by_key(|(row, asked)| (asked.at, *row))
    }

    fn cell(&self, row: usize, feature: &str) -> String {
        let value = self.features.iter().position(|name| name == feature).map(|at| &self.rows[&row][at]);
        match value {
            Some(Json::Number(number)) if number.is_f64() => format!("{:.2}", number.as_f64().unwrap_or(f64::NAN)),
            Some(Json::Null) | None => "-".to_owned(),
            Some(other) => other.to_string(),
        }
    }
}

/// `2013-01-31 23:59`
fn minute(time: Timestamp) -> String {
    time.to_string().chars().take(16).map(|letter| if letter == 'T' { ' ' } else { letter }).collect()
}
