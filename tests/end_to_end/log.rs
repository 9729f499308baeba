//! The event log as an operator sees it.

use std::{fs, path::PathBuf};

use oast_runtime::{Arrival, ClockMode, Events, Runtime};

use crate::support::Setup;

const DEFINITION: &str = r#"
[source.clicks]
keys = { user = "utf8" }
event_time = "at"
fields = { amount = "float64" }
"#;

/// A runtime with three sealed segments, and their files.
fn sealed(setup: &Setup) -> anyhow::Result<(Runtime, Vec<PathBuf>)> {
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    for amount in 0..3 {
        let event = format!(r#"{{"user": "ann", "at": "2024-05-01", "amount": {amount}}}"#);
        runtime.ingest("clicks", Events::JsonLines(event.as_bytes()), Arrival::Live)?;
        runtime.close()?;
    }
    let report = runtime.log_report();
    let files = report.sources["clicks"].iter().map(|segment| setup.path("data/log").join(&segment.file)).collect();
    assert_eq!(report.next_offset, 3);
    Ok((runtime, files))
}

#[test]
fn an_untouched_log_is_intact() -> anyhow::Result<()> {
    let setup = Setup::new()?;
    let (runtime, files) = sealed(&setup)?;
    let verification = runtime.log_verify()?;
    assert_eq!((verification.segments, verification.damage), (3, None));
    assert_eq!((files.len(), verification.head), (3, runtime.log_report().head));
    Ok(())
}

#[test]
fn an_edited_a_truncated_and_a_missing_segment_are_found() -> anyhow::Result<()> {
    let check = |spoil: &dyn Fn(&PathBuf) -> std::io::Result<()>, expect: &str| -> anyhow::Result<()> {
        let setup = Setup::new()?;
        let (runtime, files) = sealed(&setup)?;
        spoil(&files[1])?;
        let damage = runtime.log_verify()?.damage.unwrap_or_default();
        let name = files[1].file_name().unwrap_or_default().to_string_lossy();
        assert!(damage.contains(expect) && damage.contains(&*name), "{damage}");
        Ok(())
    };
    check(
        &|file| {
            let mut bytes = fs::read(file)?;
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(file, bytes)
        },
        "was altered",
    )?;
    check(&|file| fs::write(file, &fs::read(file)?[..100]), "was altered")?;
    check(&|file| fs::remove_file(file), "is missing")
}
