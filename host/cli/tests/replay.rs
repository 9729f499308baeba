//! Replays and proofs as people run them: relative paths, lineage, the schema of manifests.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    process::{Command, Stdio},
};

use serde_json::Value as Json;

use crate::{
    crash::shim,
    setup::{Folder, told},
};

const REPLAY: [&str; 7] =
    ["replay", "--service", "delay_model", "--events", "departures=departures.parquet", "--out", "training.parquet"];

fn published() -> Folder {
    let folder = Folder::new();
    assert_eq!(told(folder.oast(&["apply"])).0, Some(0));
    folder
}

#[test]
fn a_proof_finds_patterns_that_were_relative_to_where_the_replay_ran() {
    let folder = published();
    fs::create_dir_all(folder.path("spines")).expect("a folder");
    fs::create_dir_all(folder.path("out")).expect("a folder");
    fs::copy(folder.path("spine.parquet"), folder.path("spines/2013-01.parquet")).expect("a spine");
    let args = ["replay", "--service", "delay_model", "--events", "departures=departures.parquet"];
    let replay = [&args[..], &["--spine", "spines/*.parquet", "--out", "out/training.parquet"]].concat();
    let (status, _, stderr) = told(folder.oast(&replay));
    assert_eq!(status, Some(0), "{stderr}");
    let (status, stdout, stderr) = told(folder.oast(&["verify", "out/training.parquet.manifest.json"]));
    assert_eq!(status, Some(0), "{stdout}{stderr}");
}

/// What every event of OpenLineage has.
fn check_event(event: &Json, what: &str) {
    assert_eq!(event["eventType"], what);
    assert_eq!(event["job"]["name"], "replay.delay_model");
    assert_eq!(event["schemaURL"], "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent");
    assert!(event["eventTime"].as_str().is_some_and(|time| time.ends_with('Z')), "{event}");
    assert!(event["producer"].as_str().is_some_and(|producer| producer.starts_with("urn:oast:")), "{event}");
    let facets = [&event["run"], &event["inputs"][0], &event["outputs"][0]];
    for facet in facets.iter().filter_map(|with| with["facets"].as_object()).flat_map(|facets| facets.values()) {
        assert!(facet["_producer"].is_string() && facet["_schemaURL"].is_string(), "{facet}");
    }
}

#[test]
fn a_replay_tells_a_file_how_it_began_and_ended() {
    let folder = published();
    let told_to = ["--openlineage", "lineage.jsonl"];
    let good = [&REPLAY[..], &["--spine", "spine.parquet", "--meta", "label=arr_delay"], &told_to].concat();
    let (status, _, stderr) = told(folder.oast(&good));
    assert_eq!(status, Some(0), "{stderr}");
    let bad = [&REPLAY[..], &["--spine", "missing.parquet"], &told_to].concat();
    assert_eq!(told(folder.oast(&bad)).0, Some(2));

    let events = fs::read_to_string(folder.path("lineage.jsonl")).expect("the events");
    let events: Vec<Json> = events.lines().map(|line| serde_json::from_str(line).expect("an event is JSON")).collect();
    assert_eq!(events.len(), 4);
    for (event, what) in events.iter().zip(["START", "COMPLETE", "START", "FAIL"]) {
        check_event(event, what);
    }
    assert_eq!(events[0]["run"]["runId"], events[1]["run"]["runId"]);
    assert_ne!(events[1]["run"]["runId"], events[2]["run"]["runId"]);
    let manifest = fs::read_to_string(folder.path("training.parquet.manifest.json")).expect("the manifest");
    let manifest: Json = serde_json::from_str(&manifest).expect("a manifest is JSON");
    let output = &events[1]["outputs"][0];
    assert_eq!(output["facets"]["version"]["datasetVersion"], manifest["dataset"]["hash"]);
    assert_eq!(output["facets"]["schema"]["fields"], manifest["dataset"]["schema"]);
    assert_eq!(output["outputFacets"]["outputStatistics"]["rowCount"], 26_865);
    assert_eq!(events[1]["inputs"][0]["facets"]["version"]["datasetVersion"], manifest["spine"]["hash"]);
    assert_eq!(events[1]["run"]["facets"]["oast"]["metadata"]["label"], "arr_delay");
    let message = &events[3]["run"]["facets"]["errorMessage"]["message"];
    assert!(message.as_str().is_some_and(|message| message.contains("missing.parquet")), "{message}");
}

/// Answers two requests and returns their first lines and bodies.
fn serve_two(listener: TcpListener) -> Vec<(String, Json)> {
    let answer = |_| {
        let (stream, _) = listener.accept().expect("a request");
        let mut input = BufReader::new(stream);
        let (mut first, mut length, mut line) = (String::new(), 0, String::new());
        input.read_line(&mut first).expect("a request line");
        while input.read_line(&mut line).expect("a header") > 2 {
            let (name, value) = line.split_once(':').expect("a header has a colon");
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().expect("a length");
            }
            line.clear();
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body).expect("the body");
        let answer = b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        input.into_inner().write_all(answer).expect("it listens");
        (first.trim_end().to_owned(), serde_json::from_slice(&body).expect("an event is JSON"))
    };
    (0..2).map(answer).collect()
}

#[test]
fn a_replay_tells_an_endpoint_and_does_not_begin_when_there_is_none() {
    let folder = published();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let service = std::thread::spawn(|| serve_two(listener));
    let replay = [&REPLAY[..], &["--spine", "spine.parquet", "--openlineage", &url]].concat();
    let (status, _, stderr) = told(folder.oast(&replay));
    assert_eq!(status, Some(0), "{stderr}");
    let requests = service.join().expect("it was told twice");
    for ((request, event), what) in requests.iter().zip(["START", "COMPLETE"]) {
        assert_eq!(request, "POST /api/v1/lineage HTTP/1.1");
        check_event(event, what);
    }

    fs::remove_file(folder.path("training.parquet")).expect("the dataset");
    let (status, _, stderr) = told(folder.oast(&replay));
    assert_eq!(status, Some(3), "{stderr}");
    assert!(stderr.contains("hint: start the lineage service"), "{stderr}");
    assert!(!folder.path("training.parquet").exists());
}

const EVENT: &str = concat!(
    r#"{"flight_id":"f1","carrier":"AA","origin":"JFK","dest":"LAX","tailnum":null,"distance":2475.0,"dep_delay":2.0,"#,
    r#""sched_time":"2013-01-05T10:00:00Z","dep_time":"2013-01-05T10:02:00Z"}"#,
    "\n"
);

#[test]
fn ctrl_c_leaves_no_dataset_and_the_same_command_makes_it() {
    let folder = published();
    let pipe = folder.path("events.jsonl");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts").success());
    let args =
        ["replay", "--service", "delay_model", "--spine", "spine.parquet", "--events", "departures=events.jsonl"];
    let replay = [&args[..], &["--out", "training.parquet", "--openlineage", "lineage.jsonl"]].concat();
    let mut command = folder.command(&replay);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
    // The pipe opens once the command reads it, and by then it catches signals. Nothing is computed yet that could be kept.
    let mut events = fs::File::options().write(true).open(&pipe).expect("a pipe");
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.expect("kill starts").success());
    events.write_all(EVENT.as_bytes()).expect("the command reads");
    drop(events);
    let (status, stdout, stderr) = told(child.wait_with_output().expect("it ends"));
    assert_eq!((status, stdout.as_str()), (Some(3), ""), "{stderr}");
    assert!(stderr.contains("error: the replay was stopped"), "{stderr}");
    assert!(stderr.contains("hint: run the same command again"), "{stderr}");
    assert!(!folder.path("training.parquet").exists());

    let told_of = fs::read_to_string(folder.path("lineage.jsonl")).expect("the events");
    assert!(told_of.lines().last().is_some_and(|event| event.contains(r#""eventType":"ABORT""#)), "{told_of}");

    fs::remove_file(&pipe).expect("the pipe");
    fs::write(&pipe, EVENT).expect("a file in its place");
    let (status, _, stderr) = told(folder.oast(&replay));
    assert_eq!(status, Some(0), "{stderr}");
    assert!(!folder.path("training.parquet.unfinished").exists());
}

#[test]
fn the_schema_of_manifests_is_printed_as_it_is_published() {
    let (status, stdout, _) = told(Folder::new().oast(&["manifest", "schema"]));
    assert_eq!(status, Some(0));
    assert_eq!(stdout, include_str!("../../../docs/manifest.schema.json"));
}

#[test]
fn a_disk_that_fills_up_while_a_replay_spills_costs_nothing_but_the_run() {
    let folder = published();
    let shim = shim(&folder);
    let replay = [&REPLAY[..], &["--spine", "spine.parquet", "--memory", "0B"]].concat();
    let hash = || {
        let manifest = fs::read(folder.path("training.parquet.manifest.json")).expect("the manifest");
        let manifest: Json = serde_json::from_slice(&manifest).expect("a manifest is JSON");
        manifest["dataset"]["hash"].clone()
    };
    let (status, _, stderr) = told(folder.oast(&[&REPLAY[..], &["--spine", "spine.parquet"]].concat()));
    assert_eq!(status, Some(0), "{stderr}");
    let expected = hash();

    let mut failed = 0;
    // How many writes it takes is not known; they go on until one run needs no more.
    for writes in (0..).map(|power| 1_u64 << power) {
        for name in ["training.parquet", "training.parquet.manifest.json"] {
            fs::remove_file(folder.path(name)).expect("what the run before wrote");
        }
        let mut full = folder.command(&replay);
        full.env("LD_PRELOAD", &shim).env("OAST_FAULT", format!("write:{writes}"));
        let (status, _, stderr) = told(full.output().expect("the command starts"));
        let has_ended = status == Some(0);
        if !has_ended {
            failed += 1;
            assert_eq!(status, Some(3), "after {writes} writes: {stderr}");
            assert!(stderr.contains("No space left on device"), "{stderr}");
            assert!(stderr.contains("hint: free some space"), "{stderr}");
            assert!(!folder.path("training.parquet").exists(), "after {writes} writes");
            let (status, _, stderr) = told(folder.oast(&replay));
            assert_eq!(status, Some(0), "{stderr}");
        }
        assert_eq!(hash(), expected, "after {writes} writes");
        assert!(!folder.path("training.parquet.unfinished").exists());
        if has_ended {
            break;
        }
    }
    assert!(failed > 3, "{failed} runs failed");
}
