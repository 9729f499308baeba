use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::workshop::{Workshop, compiled};

const DEFINITION: &str = r#"
[source.delays]
keys = { line = "utf8" }
event_time = "time"
fields = { delay = "float64?" }

[view.in_rust]
source = "delays"
entity = ["line"]
transform = [{ plugin = "in-rust", params = { tolerance = 5.0 } }]
latest = ["excess"]

[view.in_python]
source = "delays"
entity = ["line"]
transform = [{ plugin = "in-python", params = { tolerance = 5.0 } }]
latest = ["excess"]

[view.in_js]
source = "delays"
entity = ["line"]
transform = [{ plugin = "in-js", params = { tolerance = 5.0 } }]
latest = ["excess"]

[service.all]
features = ["in_rust:*", "in_python:*", "in_js:*"]
"#;

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // Only a failed test finds it running still.
        drop(self.0.kill());
    }
}

#[test]
fn a_daemon_serves_all_languages_side_by_side_and_survives_their_exceptions() {
    let workshop = Workshop::new();
    fs::create_dir(workshop.path("plugins")).expect("a folder of plugins");
    for language in ["rust", "python", "js"] {
        let to = workshop.path(&format!("plugins/in-{language}.wasm"));
        fs::copy(compiled().component(language), to).expect("the component is copied");
    }
    fs::write(workshop.path("oast.toml"), DEFINITION).expect("the definition is written");
    workshop.oast(&["apply"]);
    let mut serve = workshop.command(&["serve", "--simulate", "--listen", "127.0.0.1:0"]);
    let mut daemon = Daemon(serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the daemon starts"));
    let mut line = String::new();
    BufReader::new(daemon.0.stdout.take().expect("it is piped")).read_line(&mut line).expect("it says where it is");
    let url = line.trim().strip_prefix("oast serves at ").expect("its address").to_owned();

    // 101 raises an exception in Python and JavaScript; the row is rejected there, and the one before it stays the latest.
    let events = [("a", "20.0", 1), ("b", "30.0", 2), ("b", "101.0", 3), ("c", "5.0", 4)];
    let lines = events.map(|(line, delay, second)| {
        format!("{{\"line\": \"{line}\", \"delay\": {delay}, \"time\": \"2013-01-01T00:00:0{second}Z\"}}\n")
    });
    fs::write(workshop.path("delays.jsonl"), lines.concat()).expect("the events are written");
    workshop.oast(&["--url", &url, "ingest", "delays", "delays.jsonl"]);
    let ask = |line: &str| -> Vec<Value> {
        let key = format!("line={line}");
        let told = workshop.oast(&["--url", &url, "--json", "lookup", "all", &key, "--at", "2013-01-01T01:00:00Z"]);
        let json: Value = serde_json::from_str(&told).expect("JSON");
        json["rows"][0]["values"].as_array().unwrap_or_else(|| panic!("{told}")).clone()
    };
    assert_eq!(ask("a"), [15.0, 15.0, 15.0]);
    assert_eq!(ask("b"), [96.0, 25.0, 25.0]);
    assert_eq!(ask("c"), [Value::Null, Value::Null, Value::Null]);

    let pid = daemon.0.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status().expect("`kill` runs");
    assert!(killed.success(), "the daemon was there");
    assert_eq!(daemon.0.wait().expect("the daemon ends").code(), Some(0));
}
