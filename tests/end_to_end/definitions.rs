//! Publishing: what is new becomes a version, what is unchanged does not, and what is wrong is told with its place.

use oast_runtime::{ClockMode, LockFile, RuntimeError, read_definition};

use crate::{flights::DEFINITION, support::Setup};

fn changes(setup: &Setup, runtime: &oast_runtime::Runtime, text: &str) -> anyhow::Result<Vec<String>> {
    let report = runtime.apply(&setup.definition(text)?, &LockFile::default(), setup.dir.path())?;
    Ok(report.changes.iter().map(|change| format!("{} {}: {}", change.kind, change.name, change.change)).collect())
}

#[test]
fn an_unchanged_definition_publishes_nothing() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    let before = runtime.catalog_list()?;
    assert!(changes(&setup, &runtime, DEFINITION)?.iter().all(|change| change.ends_with(": unchanged")));
    assert_eq!(runtime.catalog_list()?, before);
    Ok(())
}

#[test]
fn a_change_makes_new_versions_of_what_it_touches_beside_the_old() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    let changed =
        DEFINITION.replacen("windows = [\"1h\", \"24h\", \"7d\"]", "windows = [\"1h\", \"24h\", \"7d\", \"14d\"]", 1);
    let expected = [
        "source departures: unchanged",
        "view carrier_delay: changed",
        "view origin_delay: unchanged",
        "service delay_model: changed",
    ];
    assert_eq!(changes(&setup, &runtime, &changed)?, expected);
    assert_eq!(runtime.catalog_history("carrier_delay")?.len(), 2);
    let back = changes(&setup, &runtime, DEFINITION)?;
    assert_eq!(back[1], "view carrier_delay: changed");
    Ok(())
}

#[test]
fn the_lock_file_pins_components() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let runtime = setup.open(ClockMode::Wall)?;
    let report = runtime.apply(&setup.definition(DEFINITION)?, &LockFile::default(), setup.dir.path())?;
    let path = setup.path("oast.lock");
    report.lock.write(&path)?;
    assert_eq!(LockFile::read(&path)?, report.lock);
    let text = std::fs::read_to_string(&path)?;
    for plugin in ["moments", "last", "distinct", "ratio"] {
        assert!(text.contains(&format!("{plugin} = \"")), "{plugin} is pinned: {text}");
    }
    // A component of the author's own now stands under the name; the pin still holds.
    std::fs::create_dir(setup.path("plugins"))?;
    let fill = oast_plugins::plugin("fill").expect("a standard plugin").component;
    std::fs::write(setup.path("plugins/ratio.wasm"), fill)?;
    let pinned = runtime.apply(&setup.definition(DEFINITION)?, &report.lock, setup.dir.path())?;
    assert!(pinned.changes.iter().all(|change| change.change == "unchanged"), "{pinned:?}");
    Ok(())
}

/// Applies a definition that is wrong and returns the error as the command line prints it.
fn refusal(
    edit: impl Fn(&str) -> String,
    prepare: impl Fn(&Setup) -> std::io::Result<()>,
) -> anyhow::Result<(String, String)> {
    let setup = Setup::new()?;
    prepare(&setup)?;
    let runtime = setup.open(ClockMode::Wall)?;
    let path = setup.path("oast.toml");
    std::fs::write(&path, edit(DEFINITION))?;
    let applied = read_definition(&path)
        .and_then(|definition| runtime.apply(&definition, &LockFile::default(), setup.dir.path()));
    let error = applied.err().ok_or_else(|| anyhow::anyhow!("a wrong definition was applied"))?;
    assert!(runtime.catalog_list()?.is_empty(), "nothing is published when something is wrong");
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    let folder = format!("{}/", setup.dir.path().display());
    Ok((text.replace(&folder, ""), error.hint().unwrap_or_default()))
}

fn check(edit: impl Fn(&str) -> String, message: &str, hint: &str) -> anyhow::Result<()> {
    let (found, found_hint) = refusal(edit, |_| Ok(()))?;
    assert!(found.contains(message), "expected {message:?} in {found:?}");
    assert!(format!("{found}\n{found_hint}").contains(hint), "expected {hint:?} in {found_hint:?}");
    Ok(())
}

#[test]
fn wrong_definitions_are_told_with_place_and_remedy() -> anyhow::Result<()> {
    check(
        |text| text.replacen("plugin = \"moments\"", "plugin = \"momentz\"", 1),
        "oast.toml:20:1",
        "did you mean `moments`?",
    )?;
    check(
        |text| text.replacen("plugin = \"moments\"", "plugin = \"spectrum\"", 1),
        "there is no plugin `spectrum`",
        "standard plugins are arith,",
    )?;
    check(
        |text| text.replacen("event_time =", "event_tim =", 1),
        "oast.toml:5:1: unknown key `event_tim`",
        "event_time",
    )?;
    check(|text| text.replacen("input = [\"dep_delay\"]", "input = [\"tailnum\"]", 1), "moments", "float64")?;
    check(|text| text.replacen("entity = [\"carrier\"]", "entity = 3", 1), "oast.toml:", "carrier")?;
    check(|text| text.replacen("[view.carrier_delay]", "[view.carrier_delay", 1), "oast.toml:", "hint")?;
    check(|text| text.replacen("\"carrier_delay:*\"", "\"carrier_delays:*\"", 1), "carrier_delays", "carrier_delay")
}

#[test]
fn components_that_cannot_run_are_refused() -> anyhow::Result<()> {
    let ratio = oast_plugins::plugin("ratio").expect("a standard plugin").component;
    let own = |bytes: Vec<u8>| {
        move |setup: &Setup| {
            std::fs::create_dir(setup.path("plugins"))?;
            std::fs::write(setup.path("plugins/own.wasm"), &bytes)
        }
    };
    let edit = |text: &str| text.replacen("plugin = \"ratio\"", "plugin = \"own\"", 1);
    let (garbage, hint) = refusal(edit, own(b"garbage".to_vec()))?;
    assert!(garbage.contains("plugin `own` cannot be used: not a component"), "{garbage}");
    assert!(hint.contains("build the plugin again"), "{hint}");
    let (truncated, _) = refusal(edit, own(ratio[..ratio.len() / 2].to_vec()))?;
    assert!(truncated.contains("plugin `own` cannot be used: not a component"), "{truncated}");
    let wasi = wat::parse_str(r#"(component (import "wasi:clocks/monotonic-clock@0.2.6" (instance)))"#)?;
    let (foreign, _) = refusal(edit, own(wasi))?;
    assert!(foreign.contains("imports `wasi:clocks/monotonic-clock@0.2.6`"), "{foreign}");
    Ok(())
}

#[test]
fn a_second_process_is_told_that_the_directory_is_in_use() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let _first = setup.open(ClockMode::Wall)?;
    let error = setup.open(ClockMode::Wall).err().expect("the directory is locked");
    let error: &RuntimeError = error.downcast_ref().expect("an error of the runtime");
    assert_eq!(error.code(), "data_locked");
    assert!(error.hint().expect("a hint").contains("--url"), "{:?}", error.hint());
    Ok(())
}
