//! What a replay tells a lineage service: run events of OpenLineage (<https://openlineage.io/spec/2-0-2/OpenLineage.json>),
//! appended to a file or posted to an HTTP endpoint.

use std::{
    fs::OpenOptions,
    hash::{BuildHasher, RandomState},
    io::Write,
    path::{Path, PathBuf},
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use oast_runtime::{EventsEntry, Manifest, ReplayOptions, RuntimeError, Timestamp, manifest_path};
use serde_json::{Value as Json, json};

use crate::report::Failure;

/// Who speaks, as OpenLineage wants to know it in every event and facet.
const PRODUCER: &str = concat!("urn:oast:", env!("CARGO_PKG_VERSION"));

/// Where run events go.
#[derive(Debug, Clone)]
pub(crate) enum LineageSink {
    /// One event a line, added to the end.
    File(PathBuf),
    /// An HTTP endpoint that takes events.
    Endpoint(String),
}

impl FromStr for LineageSink {
    type Err = String;

    /// Reads a file name or an address; of an address without a path, the events go where OpenLineage has its own.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(Self::File(PathBuf::from(text))) };
        if scheme != "http" {
            return Err("expected a file, or an address like `http://127.0.0.1:5000`".to_owned());
        }
        let has_path = rest.trim_end_matches('/').contains('/');
        let path = if has_path { "" } else { "/api/v1/lineage" };
        Ok(Self::Endpoint(format!("{}{path}", text.trim_end_matches('/'))))
    }
}

/// One replay, as a lineage service sees it.
pub(crate) struct LineageRun {
    sink: LineageSink,
    id: String,
    job: String,
    data: PathBuf,
    inputs: Vec<Json>,
    out: PathBuf,
}

impl LineageRun {
    /// Tells that a replay begins.
    pub(crate) fn start(sink: LineageSink, options: &ReplayOptions, data: &Path) -> anyhow::Result<Self> {
        let files = options.events.iter().map(|(_, file)| file).chain([&options.spine]);
        let run = Self {
            sink,
            id: run_id(now()),
            job: format!("replay.{}", options.service),
            data: data.to_owned(),
            inputs: files.map(|file| dataset(file, json!({}))).collect(),
            out: options.out.clone(),
        };
        let output = dataset(&run.out, json!({}));
        run.send(&run.event("START", json!({}), &run.inputs, output))?;
        Ok(run)
    }

    /// Tells what came of it.
    pub(crate) fn complete(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let mut inputs = vec![dataset(&manifest.spine.file, version(&manifest.spine.hash.to_string()))];
        inputs.extend(manifest.events.iter().map(|events| self.events_dataset(events)));
        let fields =
            manifest.dataset.schema.iter().map(|column| json!({"name": column.name, "type": column.data_type}));
        let mut facets = version(&manifest.dataset.hash.to_string());
        facets["schema"] = facet("facets/1-0-0/SchemaDatasetFacet", json!({"fields": fields.collect::<Json>()}));
        let mut output = dataset(&self.out, facets);
        let written = json!({"rowCount": manifest.dataset.rows, "size": manifest.dataset.bytes});
        output["outputFacets"]["outputStatistics"] = facet("facets/1-0-2/OutputStatisticsOutputDatasetFacet", written);
        self.send(&self.event("COMPLETE", json!({"oast": self.of_oast(manifest)}), &inputs, output))
    }

    /// Tells that it failed or was stopped, and why.
    pub(crate) fn fail(&self, error: &anyhow::Error) -> anyhow::Result<()> {
        let message = json!({"message": format!("{error:#}"), "programmingLanguage": "Rust"});
        let facets = json!({"errorMessage": facet("facets/1-0-0/ErrorMessageRunFacet", message)});
        let is_stopped = matches!(error.downcast_ref(), Some(RuntimeError::Stopped));
        let what = if is_stopped { "ABORT" } else { "FAIL" };
        self.send(&self.event(what, facets, &self.inputs, dataset(&self.out, json!({}))))
    }

    fn event(&self, what: &str, mut facets: Json, inputs: &[Json], output: Json) -> Json {
        let engine = json!({"name": "Oast", "version": env!("CARGO_PKG_VERSION")});
        facets["processing_engine"] = facet("facets/1-1-0/ProcessingEngineRunFacet", engine);
        json!({
            "eventType": what,
            "eventTime": now().to_string(),
            "run": {"runId": self.id, "facets": facets},
            "job": {"namespace": "oast", "name": self.job},
            "inputs": inputs,
            "outputs": [output],
            "producer": PRODUCER,
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        })
    }

    /// Events of a file, or of the log, whose folder holds those of all sources.
    fn events_dataset(&self, events: &EventsEntry) -> Json {
        let log = || self.data.join("log").join(&events.source);
        dataset(&events.file.clone().unwrap_or_else(log), version(&events.hash.to_string()))
    }

    /// What only Oast knows: the versions that decided the values, and what the caller noted of the training run.
    fn of_oast(&self, manifest: &Manifest) -> Json {
        let views = manifest.service.views.iter().map(|view| json!({"name": view.name, "version": view.version}));
        json!({
            "_producer": PRODUCER,
            "_schemaURL": "urn:oast:manifest:1",
            "manifest": absolute(&manifest_path(&self.out)),
            "service": {"name": manifest.service.name, "version": manifest.service.version},
            "views": views.collect::<Json>(),
            "engine": manifest.engine.fingerprint,
            "metadata": manifest.metadata,
        })
    }

    fn send(&self, event: &Json) -> anyhow::Result<()> {
        match &self.sink {
            LineageSink::File(path) => append(path, event),
            LineageSink::Endpoint(url) => post(url, event),
        }
    }
}

fn append(path: &Path, event: &Json) -> anyhow::Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    let written = file.and_then(|mut file| file.write_all(format!("{event}\n").as_bytes()));
    written.map_err(|error| {
        let message = format!("cannot write the run event to `{}`", path.display());
        anyhow::Error::from(error).context(Failure::environment(message, "name a file that can be written to"))
    })
}

fn post(url: &str, event: &Json) -> anyhow::Result<()> {
    let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build();
    let sent = ureq::Agent::from(config).post(url).send_json(event);
    sent.map(drop).map_err(|error| {
        let message = format!("cannot send the run event to `{url}`");
        let hint = "start the lineage service, or name a file to keep the events in";
        anyhow::Error::from(error).context(Failure::environment(message, hint))
    })
}

/// A file as OpenLineage names one: by its absolute path in the namespace `file`.
fn dataset(file: &Path, facets: Json) -> Json {
    json!({"namespace": "file", "name": absolute(file), "facets": facets})
}

fn absolute(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

fn version(hash: &str) -> Json {
    json!({"version": facet("facets/1-0-0/DatasetVersionDatasetFacet", json!({"datasetVersion": hash}))})
}

fn facet(schema: &str, mut values: Json) -> Json {
    let name = schema.rsplit('/').next().unwrap_or(schema);
    values["_producer"] = Json::from(PRODUCER);
    values["_schemaURL"] = Json::from(format!("https://openlineage.io/spec/{schema}.json#/$defs/{name}"));
    values
}

/// The wall clock: it says when a run was, and decides nothing.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// A UUID of version 7, as OpenLineage advises: the milliseconds of its time, and chance.
fn run_id(time: Timestamp) -> String {
    let millis = time.as_micros().unsigned_abs() / 1000;
    let (left, right) = (RandomState::new().hash_one(millis), RandomState::new().hash_one(std::process::id()));
    format!(
        "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}",
        (millis >> 16) & 0xffff_ffff,
        millis & 0xffff,
        left & 0xfff,
        0x8000 | (left >> 12 & 0x3fff),
        right & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinks_are_files_or_addresses() {
        let check = |text: &str, expect: &str| {
            let sink = match text.parse::<LineageSink>() {
                Ok(LineageSink::File(path)) => format!("file {}", path.display()),
                Ok(LineageSink::Endpoint(url)) => url,
                Err(error) => error,
            };
            assert_eq!(sink, expect, "{text}");
        };
        check("lineage.jsonl", "file lineage.jsonl");
        check("http://marquez:5000", "http://marquez:5000/api/v1/lineage");
        check("http://marquez:5000/", "http://marquez:5000/api/v1/lineage");
        check("http://marquez:5000/lineage", "http://marquez:5000/lineage");
        check("https://marquez", "expected a file, or an address like `http://127.0.0.1:5000`");
    }

    #[test]
    fn run_ids_are_uuids_of_version_7() {
        let id = run_id(Timestamp::from_micros(0x0123_4567_89ab * 1000));
        assert!(id.starts_with("01234567-89ab-7"), "{id}");
        assert!(id.len() == 36 && "89ab".contains(&id[19..20]), "{id}");
        assert_ne!(id, run_id(Timestamp::from_micros(0x0123_4567_89ab * 1000)));
    }
}
