use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use oast_runtime::{ClockMode, Format, LockFile, RuntimeError, TableWriter, read_definition};

use super::{
    LIVE_FROM, SOURCE,
    flights::{DEFINITION, Flights},
    steps::Steps,
};
use crate::{command, output::thousands};

/// A folder with the definition applied and the history imported.
pub(super) struct Setup {
    pub(super) dir: PathBuf,
    pub(super) data: PathBuf,
}

impl Setup {
    pub(super) fn run(dir: &Path, flights: &Flights, steps: &Steps) -> anyhow::Result<Self> {
        let data = dir.join("data");
        let runtime = command::create(&data, ClockMode::Simulated)?;
        let definition = read_definition(&dir.join(DEFINITION))?;
        let report = runtime.apply_with(&definition, &LockFile::default(), dir, steps)?;
        report.lock.write(&dir.join(DEFINITION).with_extension("lock"))?;
        let count = |kind: &str| report.changes.iter().filter(|change| &change.kind[..] == kind).count();
        let (sources, views, services) = (count("source"), count("view"), count("service"));
        steps.done("apply", &format!("{sources} source, {views} views and {services} service published"))?;

        let (history, imported) = write_history(dir, flights)?;
        let begun = Instant::now();
        runtime.ingest_file(SOURCE, &history, None, steps)?;
        let rate = imported as f64 / begun.elapsed().as_secs_f64();
        runtime.checkpoint()?;
        let (events, rate) = (thousands(imported as u64), thousands(rate as u64));
        steps.done("import", &format!("{events} departures before 25 January, {rate} a second"))?;
        Ok(Self { dir: dir.to_owned(), data })
    }
}

/// The departures that were known before the live week, as a file of their own.
fn write_history(dir: &Path, flights: &Flights) -> Result<(PathBuf, usize), RuntimeError> {
    let departures = &flights.departures;
    let is_history = |row: &usize| departures.time(*row, "dep_time").is_some_and(|time| time < LIVE_FROM);
    let imported = (0..departures.rows.rows).take_while(is_history).count();
    let path = dir.join("history.parquet");
    let mut writer = TableWriter::create(&path, Format::Parquet, &departures.schema)?;
    writer.write(&departures.rows.slice(0, imported))?;
    writer.finish()?;
    Ok((path, imported))
}
