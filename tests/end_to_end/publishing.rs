//! What is checked before it is published, what is found again under its name and version, and what a replay's audit finds.

use std::{fs, sync::Mutex};

use oast_core::ComponentHash;
use oast_runtime::{ClockMode, LockFile, LookupRequest, Progress, ReplayOptions, Runtime, RuntimeError, Timestamp};

use crate::{
    checks::{add_after, lawless},
    support::{Setup, object},
};

const KEEP: &str = "(i32.const 0)";
const NEIGHBOUR: &str = "(i64.lt_s (local.get $before) (i64.const 0))";

/// What the checks, which run at most 1,024 rows in a call, cannot see.
const LARGE_BATCH: &str = "(i32.gt_u (local.get $rows) (i32.const 1200))";

fn definition(plugin: &str) -> String {
    format!(
        r#"
[source.clicks]
keys = {{ user = "utf8" }}
event_time = "at"
fields = {{ x = "int64" }}

[view.spend]
source = "clicks"
entity = ["user"]
transform = [{{ plugin = "{plugin}" }}]

[[view.spend.aggregate]]
plugin = "moments"
input = ["x"]
outputs = ["count", "sum"]
windows = ["24h"]

[service.model]
features = ["spend:*"]
"#
    )
}

fn own_build(setup: &Setup, name: &str, component: &[u8]) -> anyhow::Result<()> {
    fs::create_dir_all(setup.path("plugins"))?;
    Ok(fs::write(setup.path(&format!("plugins/{name}.wasm")), component)?)
}

/// Remembers which phases there were.
#[derive(Default)]
struct Phases(Mutex<Vec<String>>);

impl Progress for Phases {
    fn phase(&self, name: &str, _total: Option<u64>) {
        self.0.lock().expect("no test panics here").push(name.to_owned());
    }

    fn advance(&self, _amount: u64) {}
}

fn apply(setup: &Setup, runtime: &Runtime, text: &str) -> anyhow::Result<Vec<String>> {
    let phases = Phases::default();
    runtime.apply_with(&setup.definition(text)?, &LockFile::default(), setup.dir.path(), &phases)?;
    Ok(phases.0.into_inner()?)
}

fn error_of(result: anyhow::Result<impl Sized>) -> RuntimeError {
    let error = result.err().expect("an error was expected");
    error.downcast().unwrap_or_else(|error| panic!("an error of the runtime, and not: {error:#}"))
}

#[test]
fn nothing_is_published_if_a_plugin_breaks_a_law() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.open(ClockMode::Wall)?;
    own_build(&setup, "lawless", &lawless(NEIGHBOUR, ""))?;
    let error = error_of(apply(&setup, &runtime, &definition("lawless")));
    assert_eq!(error.code(), "broken_law");
    let text = error.to_string();
    assert!(text.contains("oast.toml:10:"), "{text}");
    assert!(text.contains("plugin `lawless`, view `spend`: the check \"small batches\" failed"), "{text}");
    assert!(runtime.catalog_list()?.is_empty());
    assert!(runtime.catalog_show("lawless", None).is_err(), "what failed is not remembered as checked");
    Ok(())
}

#[test]
fn what_was_checked_is_kept_and_not_checked_again() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.open(ClockMode::Wall)?;
    own_build(&setup, "lawless", &lawless(KEEP, ""))?;
    assert_eq!(apply(&setup, &runtime, &definition("lawless"))?, ["checking plugins"]);
    assert_eq!(apply(&setup, &runtime, &definition("lawless"))?, [""; 0]);
    let shown = runtime.catalog_show("lawless", None)?;
    assert_eq!((&shown["kind"], &shown["checks"][0]["name"]), (&"plugin".into(), &"view `spend`".into()), "{shown}");
    assert_eq!(shown["checks"][0]["engine"], runtime.fingerprint().to_string());
    let moments = runtime.catalog_show("moments", None)?;
    assert_eq!(moments["checks"][0]["outcomes"]["rows"], 1024, "{moments}");
    Ok(())
}

#[test]
fn a_plugin_is_published_once_under_its_name_and_version() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.open(ClockMode::Wall)?;
    let (keeps, drops) = (lawless(KEEP, ""), lawless("(i64.lt_s (local.get $x) (i64.const 0))", ""));
    let broken = runtime.publish_plugin(&lawless(NEIGHBOUR, ""), None, &()).expect_err("it breaks a law");
    assert_eq!(broken.code(), "broken_law");
    assert!(runtime.catalog_list()?.is_empty());

    let published = runtime.publish_plugin(&keeps, None, &())?;
    assert_eq!((&published.name[..], &published.version[..], published.new), ("lawless", "1.0.0", true));
    let again = runtime.publish_plugin(&keeps, None, &())?;
    assert_eq!((again.component, again.new, again.report), (published.component, false, None));
    let taken = runtime.publish_plugin(&drops, None, &()).expect_err("the version is taken");
    assert_eq!(taken.code(), "version_taken");
    assert!(taken.to_string().contains(&published.component.to_string()), "{taken}");

    // Found by name and by version, without a build of the author's; another version is not there.
    for reference in ["lawless", "lawless@1.0.0"] {
        apply(&setup, &runtime, &definition(reference))?;
    }
    let missing = error_of(apply(&setup, &runtime, &definition("lawless@2.0.0")));
    assert!(missing.to_string().contains("is version 1.0.0, not 2.0.0"), "{missing}");
    let shown = runtime.catalog_show("lawless", None)?;
    assert_eq!(shown["hash"], published.component.to_string());
    assert_eq!(shown["definition"]["version"], "1.0.0");
    assert!(shown["checks"].as_array().is_some_and(|checks| checks.len() == 2), "{shown}");
    Ok(())
}

/// A snapshot of events, a minute apart, and a spine that asks at their end.
fn replay(setup: &Setup, runtime: &Runtime, events: u64) -> Result<oast_runtime::Manifest, RuntimeError> {
    let time = |minute: u64| Timestamp::from_micros(1_577_836_800_000_000 + minute as i64 * 60_000_000);
    let lines: Vec<String> = (0..events).map(|row| format!("u{},{},{}", row % 3, time(row), row % 100)).collect();
    fs::write(setup.path("clicks.csv"), format!("user,at,x\n{}\n", lines.join("\n"))).expect("a file is written");
    let spine: Vec<String> = (0..3).map(|user| format!("u{user},{}", time(events))).collect();
    fs::write(setup.path("spine.csv"), format!("user,event_timestamp\n{}\n", spine.join("\n")))
        .expect("a file is written");
    let options = ReplayOptions {
        service: "model".to_owned(),
        spine: setup.path("spine.csv"),
        out: setup.path("training.parquet"),
        events: vec![("clicks".to_owned(), setup.path("clicks.csv"))],
        ..ReplayOptions::default()
    };
    runtime.replay(&options, &())
}

#[test]
fn a_replay_runs_a_sample_of_its_rows_again() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.open(ClockMode::Wall)?;
    own_build(&setup, "lawless", &lawless(KEEP, ""))?;
    apply(&setup, &runtime, &definition("lawless"))?;
    let manifest = replay(&setup, &runtime, 20_000)?;
    assert!((2..30).contains(&manifest.audited_rows), "{}", manifest.audited_rows);
    assert_eq!(replay(&setup, &runtime, 20_000)?.audited_rows, manifest.audited_rows);
    let verification = runtime.verify(&setup.path("training.parquet.manifest.json"), &())?;
    assert!(verification.proved(), "{verification:?}");
    Ok(())
}

/// A daemon starts all the same, and only the lookups of that service fail.
fn check_unservable(runtime: &Runtime) -> anyhow::Result<()> {
    runtime.start(&())?;
    let entity = object(serde_json::json!({"user": "u1"}));
    let request = LookupRequest { service: "model".to_owned(), entities: vec![entity], ..LookupRequest::default() };
    let error = runtime.lookup(&request).expect_err("its component is in quarantine");
    assert_eq!(error.code(), "unservable_service", "{error}");
    assert!(error.to_string().contains("is quarantined"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("oast plugin publish")), "{error}");
    Ok(())
}

/// The replay ends with both outputs, and the component is refused, also by publishing it again: it is checked with the rows
/// that brought it into quarantine, in calls as large as theirs.
fn check_audit(setup: &Setup, plugin: &str, component: &[u8], definition: &str, text: [&str; 2]) -> anyhow::Result<()> {
    let runtime = setup.open(ClockMode::Wall)?;
    own_build(setup, plugin, component)?;
    apply(setup, &runtime, definition)?;
    replay(setup, &runtime, 900)?;
    let error = replay(setup, &runtime, 20_000).expect_err("large batches differ");
    assert_eq!(error.code(), "audit_failed", "{error}");
    assert!(text.iter().all(|text| error.to_string().contains(text)), "{error}");
    assert!(
        !setup.path("training.parquet.manifest.json").exists() || fs::metadata(setup.path("training.parquet")).is_ok()
    );

    let quarantined = replay(setup, &runtime, 900).expect_err("the component may not run");
    assert_eq!(quarantined.code(), "quarantined_component", "{quarantined}");
    assert!(quarantined.to_string().contains("in a replay"), "{quarantined}");
    let refused = error_of(apply(setup, &runtime, definition));
    assert_eq!(refused.code(), "quarantined_component", "{refused}");
    assert!(refused.hint().is_some_and(|hint| hint.contains("oast plugin publish") && hint.contains(".quarantined")));
    check_unservable(&runtime)?;
    let unreformed = runtime.publish_plugin(component, None, &()).expect_err("the same rows differ");
    assert_eq!(unreformed.code(), "audit_failed", "{unreformed}");
    assert_eq!(replay(setup, &runtime, 900).expect_err("it may still not run").code(), "quarantined_component");
    Ok(())
}

#[test]
fn a_component_is_let_out_of_quarantine_without_getting_a_name() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.open(ClockMode::Wall)?;
    let component = lawless(KEEP, "");
    own_build(&setup, "lawless", &component)?;
    apply(&setup, &runtime, &definition("lawless"))?;
    let stored = setup.path(&format!("data/components/{}.wasm", ComponentHash::of(&component)));
    assert_eq!(fs::read(&stored)?, component);
    fs::write(stored.with_extension("quarantined"), "by hand")?;
    assert_eq!(replay(&setup, &runtime, 900).expect_err("it may not run").code(), "quarantined_component");

    let released = runtime.publish_plugin(&component, None, &())?;
    assert_eq!((released.new, released.released), (false, true));
    replay(&setup, &runtime, 900)?;
    assert!(runtime.catalog_show("lawless", None)?["definition"].is_null(), "it has no name");
    assert!(runtime.publish_plugin(&component, None, &())?.new);
    Ok(())
}

#[test]
fn a_transform_that_differs_in_a_replay_goes_into_quarantine() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let texts = ["alone             {}", "among 16384 rows  dropped"];
    check_audit(&setup, "lawless", &lawless(LARGE_BATCH, ""), &definition("lawless"), texts)
}

#[test]
fn an_aggregate_that_differs_in_a_replay_goes_into_quarantine() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let text = definition("fill").replace("transform = [{ plugin = \"fill\" }]\n", "");
    let text = text
        .replace("plugin = \"moments\"", "plugin = \"lawless-fold\"")
        .replace("outputs = [\"count\", \"sum\"]\n", "")
        // What no lookup can see is not folded.
        .replace("24h", "30d");
    let texts = ["folded by a call of its own", "folded in a run of"];
    check_audit(&setup, "lawless-fold", &add_after(1200), &text, texts)
}
