//! What a component can make the compiler do: use up its time or its memory, and end it, but not the process that asked.

use std::{error::Error, fs, os::unix::fs::PermissionsExt};

use oast_engine::{Engine, EngineError};

use crate::setup::Folder;

/// Starts the compiler under lower limits than its own, which it cannot raise.
const SCRIPT: &str = "#!/bin/sh\n. \"${0%/*}/limits\"\nexec OAST \"$@\"\n";

/// A component of one function with so many calls, each of which needs what the one before gave.
fn component(calls: usize) -> Vec<u8> {
    let calls = "local.get 0 call 0 local.set 0\n".repeat(calls);
    let text = format!("(component (core module (func (param i32) (result i32)\n{calls} local.get 0)))");
    wat::parse_str(text).expect("a component as text")
}

/// The text of the error with its causes.
fn told(error: &EngineError) -> String {
    let causes = std::iter::successors(Some(error as &dyn Error), |error: &&dyn Error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn check_refused(engine: &Engine, folder: &Folder, limits: &str, ended_by: &str) {
    fs::write(folder.path("limits"), limits).expect("a file is written");
    // What needs little is compiled within the same limits, and refused for what it is.
    let small = engine.load(&component(limits.len())).err().expect("it exports no world");
    assert!(told(&small).contains("the component exports nothing"), "{}", told(&small));
    let error = engine.load(&component(300_000)).err().expect("it takes more than the limit");
    let text = told(&error);
    assert!(matches!(error, EngineError::CompileLimit { .. }), "{text}");
    assert!(text.contains("compiling was ended") && text.contains(ended_by), "{text}");
    assert!(text.contains("it may take 600 s of processor time and 6 GiB of memory"), "{text}");
}

#[test]
fn a_component_that_takes_more_than_the_compiler_may_is_refused_and_the_host_lives() {
    let folder = Folder::new();
    let script = folder.path("compiler");
    fs::write(&script, SCRIPT.replace("OAST", env!("CARGO_BIN_EXE_oast"))).expect("a file is written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).expect("it can be run");
    let engine = Engine::shared().expect("an engine");
    engine.compile_apart(&script);
    check_refused(&engine, &folder, "ulimit -t 1\n", "signal: 9");
    check_refused(&engine, &folder, "ulimit -v 700000\n", "signal: 6");
    fs::write(folder.path("limits"), "").expect("a file is written");
    let afterwards = engine.load(&component(7)).err().expect("it exports no world");
    assert!(told(&afterwards).contains("the component exports nothing"), "{}", told(&afterwards));
}
