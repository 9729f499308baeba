//! Compiling in a process of its own, whose time and memory are bounded: what a hostile component can make a compiler do
//! is not covered by what wasmtime promises.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{EngineError, config::SEMANTICS, engine::start_wasmtime};

/// The argument with which a program is started to compile.
pub const COMPILE_COMMAND: &str = "compile-component";

/// The processor time that compiling may take, over all threads. A Python component of 18 MB takes about a minute.
const CPU_SECONDS: u64 = 600;

/// The address space that compiling may take. A Python component of 18 MB takes about a quarter.
const MEMORY_BYTES: u64 = 6 << 30;

/// The status of a compiling process that refuses the component, and of one that cannot do its work. A panic, for want of
/// memory say, has another, and a signal none.
const REFUSED: u8 = 1;
const HOST_FAILED: u8 = 3;

/// Where components are compiled.
#[derive(Debug)]
pub(crate) enum Compiler {
    /// In a process of this program.
    Apart(PathBuf),
}

/// Compiles the component on standard input to an artefact on standard output, within limits that this process sets
/// itself. For the process that [`Engine::compile_apart`](crate::Engine::compile_apart) starts.
pub fn compile_in_this_process() -> ExitCode {
    match compile() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The status tells of the failure, should nobody listen any more.
            write!(io::stderr(), "{error:#}").ok();
            ExitCode::from(if error.is::<io::Error>() { HOST_FAILED } else { REFUSED })
        }
    }
}

fn compile() -> wasmtime::Result<()> {
    limit_this_process()?;
    let engine = start_wasmtime(SEMANTICS.compiling_config(), SEMANTICS.fingerprint())?;
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let artefact = SEMANTICS.compile(&engine, &bytes)?;
    io::stdout().write_all(&artefact)?;
    Ok(())
}

fn limit_this_process() -> rustix::io::Result<()> {
    for (resource, limit) in [(Resource::Core, 0), (Resource::As, MEMORY_BYTES), (Resource::Cpu, CPU_SECONDS)] {
        // Whoever started the host may have set a lower limit, which cannot be raised.
        let limit = getrlimit(resource).maximum.map_or(limit, |maximum| maximum.min(limit));
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    Ok(())
}

/// Has the program compile the component.
pub(crate) fn compile_apart(program: &Path, bytes: &[u8]) -> Result<Vec<u8>, EngineError> {
    let started = Command::new(program)
        .arg(COMPILE_COMMAND)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let failed = |source: io::Error| EngineError::Compiler { program: program.to_owned(), source };
    let child = started.map_err(failed)?;
    let (status, artefact, complaint) = converse(child, bytes).map_err(failed)?;
    if status.success() {
        return Ok(artefact);
    }
    match status.code().map(|code| code as u8) {
        Some(REFUSED) => Err(EngineError::Invalid(wasmtime::Error::msg(complaint))),
        Some(HOST_FAILED) => Err(failed(io::Error::other(complaint))),
        _ => Err(EngineError::CompileLimit { status: ended_by(status) }),
    }
}

/// Writes the component and reads artefact and complaint, each while the others may be going on.
fn converse(mut child: Child, bytes: &[u8]) -> io::Result<(ExitStatus, Vec<u8>, String)> {
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let mut stderr = child.stderr.take().expect("standard error is a pipe");
    let output = std::thread::scope(|threads| {
        // A compiler that dies reads no further; its status tells of it.
        threads.spawn(move || stdin.write_all(bytes).ok());
        let complaint = threads.spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text)
        });
        let output = child.wait_with_output()?;
        let complaint = complaint.join().expect("reading a text does not panic")?;
        Ok::<_, io::Error>((output, complaint))
    });
    let (output, complaint) = output?;
    Ok((output.status, output.stdout, complaint))
}

fn ended_by(status: ExitStatus) -> String {
    let limits = format!("{CPU_SECONDS} s of processor time and {} GiB of memory", MEMORY_BYTES >> 30);
    format!("compiling was ended ({status}); it may take {limits}")
}
