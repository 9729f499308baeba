//! Quarantined events that are driven again reach the log once, whichever write or sync on the way fails.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    crash::{Daemon, post, shim},
    setup::{Folder, told},
};

/// A source that tells duplicates, and one that would log them.
const DEFINITION: &str = r#"
[source.keyed]
keys = { user = "utf8" }
event_time = "at"
idempotency_key = "id"
fields = { id = "int64", amount = "float64" }

[[source.keyed.check]]
field = "amount"
max = 1.0

[source.plain]
keys = { user = "utf8" }
event_time = "at"
fields = { id = "int64", amount = "float64" }

[[source.plain.check]]
field = "amount"
max = 1.0
"#;

const SOURCES: [&str; 2] = ["keyed", "plain"];

/// More than the writes and syncs that two retries need.
const CALLS: u64 = 14;

fn oast(folder: &Folder, args: &[&str]) -> String {
    let (status, stdout, stderr) = told(folder.oast(args));
    assert_eq!(status, Some(0), "{args:?}: {stdout}{stderr}");
    stdout
}

fn json(folder: &Folder, args: &[&str]) -> Value {
    serde_json::from_str(&oast(folder, args)).expect("JSON")
}

/// A data directory with one event of each source in quarantine, which their checks let through by now.
fn prepare(folder: &Folder) {
    let event = r#"{"user": "ann", "at": "2024-05-01T10:00:00Z", "id": 1, "amount": 5.0}"#;
    fs::write(folder.path("events.jsonl"), event).expect("the event is written");
    fs::write(folder.path("oast.toml"), DEFINITION).expect("the definition is written");
    oast(folder, &["apply"]);
    for source in SOURCES {
        told(folder.oast(&["ingest", source, "events.jsonl"]));
    }
    fs::write(folder.path("oast.toml"), DEFINITION.replace("1.0", "10.0")).expect("the definition is written");
    oast(folder, &["apply"]);
    assert_eq!(json(folder, &["quarantine", "list", "--json"]).as_array().map(Vec::len), Some(2));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the folder is read") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("its name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, to).expect("the file is copied");
        }
    }
}

/// Drives both sources' events twice in a daemon in which one call fails, and says whether that was told.
fn retry_with(folder: &Folder, shim: &Path, fault: &str) -> bool {
    let armed = folder.path("armed");
    let mut command = folder.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("LD_PRELOAD", shim).env("OAST_FAULT", fault).env("OAST_FAULT_ARMED", &armed);
    let daemon = Daemon::start(command);
    fs::write(&armed, "").expect("the fault is armed");
    let retry = |source| {
        let url = format!("{}/v1/quarantine/{source}/retry", daemon.url);
        post(&url, "application/json", "[]").expect("an answer")
    };
    let first = SOURCES.map(retry);
    drop(SOURCES.map(retry));
    fs::remove_file(&armed).expect("it was armed");
    daemon.kill();
    first.iter().any(|answer| answer["error"].is_object())
}

#[test]
fn quarantined_events_reach_the_log_once_whichever_call_fails() {
    let folder = Folder::new();
    let shim = shim(&folder);
    prepare(&folder);
    let (data, prepared) = (folder.path("oast-data"), folder.path("prepared"));
    fs::rename(&data, &prepared).expect("the data directory is kept");
    for call in ["write", "sync"] {
        let mut told = 0;
        for after in 0..CALLS {
            copy(&prepared, &data);
            let fault = format!("{call}:{after}");
            told += u64::from(retry_with(&folder, &shim, &fault));
            for source in SOURCES {
                oast(&folder, &["quarantine", "retry", source]);
            }
            let left = json(&folder, &["quarantine", "list", "--json"]);
            let log = json(&folder, &["log", "show", "--json"]);
            assert_eq!((left.as_array().map(Vec::len), log["next_offset"].as_u64()), (Some(0), Some(2)), "{fault}");
            fs::remove_dir_all(&data).expect("the data directory is removed");
        }
        assert!(told >= 4, "the shim makes every {call} of two retries fail: {told}");
    }
}
