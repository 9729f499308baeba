use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use oast_runtime::{
    Arrival, ClockMode, Columns, Field, Format, IngestReport, Progress, RuntimeError, Schema, TableReader, arrow_stream,
};

use super::open;
use crate::{
    args::{self, FileFormat, Global},
    client::Client,
    http,
    output::{self, Table, count, style, thousands},
    progress::Bar,
    report::Failure,
};

/// How many bytes of JSON lines go into one request.
const REQUEST_BYTES: usize = 4 << 20;

/// How many quarantined events are shown.
const SHOWN_MAX: usize = 10;

/// `oast ingest`
pub(crate) fn ingest(global: &Global, args: &args::Ingest) -> anyhow::Result<()> {
    let format = match args.format {
        None if args.file == Path::new("-") => {
            let message = "the format of standard input is not known";
            return Err(Failure::input(message, "say it with --format jsonl, csv, arrow or parquet").into());
        }
        format => format.map(Format::from),
    };
    let report = match &global.url {
        Some(url) => send(&Client::new(url)?, args, format)?,
        None => open(&global.data, ClockMode::Wall)?.ingest_file(&args.source, &args.file, format, &Bar::new())?,
    };
    if global.json { output::json(&report) } else { print(&args.source, &report) }
}

impl From<FileFormat> for Format {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Parquet => Self::Parquet,
            FileFormat::Csv => Self::Csv,
            FileFormat::Jsonl => Self::JsonLines,
            FileFormat::Arrow => Self::Arrow,
        }
    }
}

/// Sends the file to a daemon, some thousand rows a request.
fn send(client: &Client, args: &args::Ingest, format: Option<Format>) -> anyhow::Result<IngestReport> {
    let format = format.map_or_else(|| Format::of_path(&args.file).map_err(RuntimeError::from), Ok)?;
    let bar = Bar::new();
    bar.phase("send", None);
    match format {
        Format::JsonLines => send_lines(client, args, &bar),
        _ => send_batches(client, args, format, &bar),
    }
}

fn send_lines(client: &Client, args: &args::Ingest, bar: &Bar) -> anyhow::Result<IngestReport> {
    let mut input = BufReader::new(input(&args.file)?);
    let (mut total, mut lines) = (IngestReport::default(), 0);
    loop {
        let mut body = Vec::new();
        let mut count = 0;
        while body.len() < REQUEST_BYTES
            && input.read_until(b'\n', &mut body).map_err(|error| unreadable(&args.file, error))? > 0
        {
            count += 1;
        }
        if count == 0 {
            return Ok(total);
        }
        add(&mut total, client.append(&args.source, Arrival::History, http::JSON_LINES, &body)?, lines);
        lines += count;
        bar.advance(count);
    }
}

fn send_batches(client: &Client, args: &args::Ingest, format: Format, bar: &Bar) -> anyhow::Result<IngestReport> {
    let columns = Columns::Exactly(source_schema(client, &args.source)?);
    let reader = match args.file == Path::new("-") {
        true => TableReader::from_read("standard input", format, io::stdin(), columns),
        false => TableReader::open(&args.file, Some(format), columns),
    };
    let reader = reader.map_err(RuntimeError::from)?;
    let schema = reader.schema().clone();
    let (mut total, mut rows) = (IngestReport::default(), 0);
    for batch in reader {
        let batch = batch.map_err(RuntimeError::from)?;
        let body = arrow_stream(&schema, &batch)?;
        add(&mut total, client.append(&args.source, Arrival::History, http::ARROW_STREAM, &body)?, rows);
        rows += batch.rows as u64;
        bar.advance(batch.rows as u64);
    }
    Ok(total)
}

/// The columns of a source, as its daemon's catalog has them. All may be null: the daemon quarantines what may not.
fn source_schema(client: &Client, source: &str) -> anyhow::Result<Schema> {
    let shown = client.catalog_show(source)?;
    let record = shown.get("definition").unwrap_or(&shown);
    let fields = record["columns"].as_array().into_iter().flatten().filter_map(|column| {
        let field = Field::parse(column["name"].as_str()?, column["type"].as_str()?).ok()?;
        Some(Field { nullable: true, ..field })
    });
    let schema = Schema::new(fields.collect()).ok().filter(|schema| !schema.fields().is_empty());
    schema.ok_or_else(|| {
        let message = format!("`{source}` is no source");
        Failure::input(message, "see `oast catalog list` for the sources").into()
    })
}

fn input(file: &Path) -> Result<Box<dyn Read>, Failure> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file_opened = File::open(file).map_err(|error| unreadable(file, error))?;
    Ok(Box::new(file_opened))
}

fn unreadable(file: &Path, error: io::Error) -> Failure {
    Failure::input(format!("cannot read `{}`: {error}", file.display()), "check the path and its permissions")
}

/// Adds what became of one request to the whole; `before` rows were sent earlier.
fn add(total: &mut IngestReport, report: IngestReport, before: u64) {
    total.accepted += report.accepted;
    total.duplicates += report.duplicates;
    total.past_retention += report.past_retention;
    total.offset = report.offset;
    total.quarantined.extend(report.quarantined.into_iter().map(|mut event| {
        event.row += before;
        event
    }));
}

fn print(source: &str, report: &IngestReport) -> anyhow::Result<()> {
    let (accepted, duplicates) = (thousands(report.accepted), thousands(report.duplicates));
    let quarantined = thousands(report.quarantined.len() as u64);
    output::line(format_args!(
        "{source}: {accepted} accepted, {duplicates} duplicates, {quarantined} quarantined; offset {}",
        report.offset
    ))?;
    if report.past_retention > 0 {
        let bold = style::BOLD;
        output::line(format_args!(
            "{} accepted happened longer ago than the source's `retention`, and will be removed from the log",
            count(report.past_retention, "event")
        ))?;
        let hint = "lengthen `retention` and apply it, or leave it out, before anything else is ingested";
        output::line(format_args!("{bold}hint:{bold:#} {hint}"))?;
    }
    if report.quarantined.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["row", "field", "code", "message"]).right(&[0]);
    for event in report.quarantined.iter().take(SHOWN_MAX) {
        table.row([event.row.to_string(), event.field.clone(), event.code.clone(), event.message.clone()]);
    }
    table.print()?;
    let more = report.quarantined.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        let dim = style::DIM;
        output::line(format_args!("{dim}and {more} more; --json shows all{dim:#}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use oast_runtime::Quarantined;

    use super::*;

    #[test]
    fn rows_are_numbered_over_all_requests() {
        let event = |row| Quarantined { row, field: String::new(), code: "syntax".to_owned(), message: String::new() };
        let part = |row, offset| IngestReport {
            accepted: 2,
            duplicates: 1,
            quarantined: vec![event(row)],
            offset,
            past_retention: 0,
        };
        let mut total = IngestReport::default();
        add(&mut total, part(3, 10), 0);
        add(&mut total, part(1, 20), 100);
        let rows: Vec<_> = total.quarantined.iter().map(|event| event.row).collect();
        assert_eq!((total.accepted, total.duplicates, total.offset, rows), (4, 2, 20, vec![3, 101]));
    }
}
