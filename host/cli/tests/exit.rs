use std::fs;

use crate::setup::{Folder, told};

#[test]
fn every_failure_is_told_once_with_a_fitting_status() {
    let folder = Folder::new();
    fs::write(folder.path("bad.toml"), "[source.x]\nevent_tme = \"t\"\n").expect("a definition");
    fs::write(folder.path("garbage.wasm"), "no component").expect("a file");
    fs::write(folder.path("file"), "no folder").expect("a file");
    let check = |args: &[&str], status: i32, said: &str| {
        let (found, stdout, stderr) = told(folder.oast(args));
        assert_eq!(found, Some(status), "{args:?}: {stderr}");
        assert!(stderr.contains(said), "{args:?}: {stderr}");
        assert_eq!(stderr.matches("error: ").count(), 1, "{args:?}: {stderr}");
        assert_eq!(stdout, "", "{args:?}");
    };
    check(&["apply", "-f", "missing.toml"], 2, "cannot read `missing.toml`");
    check(&["apply", "-f", "bad.toml"], 2, "bad.toml:");
    check(&["plugin", "inspect", "garbage.wasm"], 2, "not a component that Oast can run");
    check(&["plugin", "inspect", "missing.wasm"], 2, "cannot read `missing.wasm`");
    check(&["lookup", "delay_model", "carrier=AA"], 2, "`oast-data` is not an oast data directory");
    assert!(!folder.path("oast-data").exists(), "a command that only reads makes no folder");
    assert_eq!(told(folder.oast(&["apply"])).0, Some(0));
    check(&["verify", "missing.json"], 2, "cannot read `missing.json`");
    check(&["--url", "http://127.0.0.1:1", "replay", "--service", "s", "--spine", "s", "--out", "o"], 2, "--url");
    check(
        &["replay", "--service", "delay_model", "--spine", "spine.parquet", "--out", "spine.parquet"],
        2,
        "would overwrite `spine.parquet`",
    );
    fs::write(folder.path("spine.csv"), "event_timestamp,carrier,distance\n2013-01-09,AA,733\n").expect("a spine");
    let replay = ["replay", "--service", "delay_model", "--out", "t.csv", "--spine"];
    check(&[&replay[..], &["spine.csv"]].concat(), 2, "the spine `spine.csv` has no column `origin`");
    check(&[&replay[..], &["spine"]].concat(), 2, "cannot open `spine`");
    check(&[&replay[..], &["*.tsv"]].concat(), 2, "there is no table in `*.tsv`");
    fs::write(folder.path("whole.csv"), "event_timestamp,carrier,origin,distance\n2013-01-09,AA,JFK,733\n")
        .expect("a spine");
    check(
        &[&replay[..], &["whole.csv", "--events", "departures=whole.csv"]].concat(),
        2,
        "`--map departures.NAME=COLUMN` says what the snapshot calls one of them",
    );
    assert!(!folder.path("t.csv").exists(), "nothing is half written");
    check(&["lookup", "delay_model", "carrier=AA", "origin=JFK"], 2, "`distance`");
    check(&["lookup", "nothing", "carrier=AA"], 2, "there is no service `nothing`");
    check(&["lookup", "nothing", "carrier"], 2, "carrier=AA");
    check(&["ingest", "departures", "-"], 2, "hint: say it with --format");
    check(&["--url", "ftp://x", "catalog", "list"], 2, "is not the address of a daemon");
    check(&["--url", "http://127.0.0.1:1", "catalog", "list"], 3, "hint: start one with `oast serve`");
    check(&["--data", "file/data", "catalog", "list"], 2, "`file/data` is not an oast data directory");
    check(&["--data", "file/data", "apply"], 3, "file/data");
}

#[test]
fn an_unchanged_definition_publishes_nothing() {
    let folder = Folder::new();
    let (_, first, _) = told(folder.oast(&["apply"]));
    let lock = fs::read(folder.path("oast.lock")).expect("the lock file");
    let (status, second, _) = told(folder.oast(&["apply"]));
    assert_eq!(first.matches("new ").count(), 4, "{first}");
    assert_eq!((status, second.matches("unchanged").count()), (Some(0), 4), "{second}");
    assert!(second.ends_with("nothing to publish\n"), "{second}");
    assert_eq!(fs::read(folder.path("oast.lock")).expect("the lock file"), lock);
}
