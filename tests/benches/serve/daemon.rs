use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context;
use tempfile::TempDir;

/// The unit of `/proc/PID/stat` on Linux, whatever the kernel's own.
const TICKS_PER_SECOND: u32 = 100;

/// A daemon with a data folder of its own.
pub(crate) struct Daemon {
    process: Child,
    address: String,
    _folder: TempDir,
}

impl Daemon {
    pub(crate) fn start(binary: &Path, definition: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("oast.toml"), definition)?;
        let command = |args: &[&str]| {
            let mut command = Command::new(binary);
            command.current_dir(folder.path()).args(args).env("OAST_LOG", "warn");
            command
        };
        let applied = command(&["apply"]).stdout(Stdio::null()).status();
        let applied = applied
            .with_context(|| format!("`{}` does not start; build it, or name it with --daemon", binary.display()))?;
        anyhow::ensure!(applied.success(), "the bench's definition is refused");
        let mut process = command(&["serve", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("it is piped")?).read_line(&mut line)?;
        let address =
            line.trim().strip_prefix("oast serves at http://").context("the daemon does not say where it is")?;
        Ok(Self { address: address.to_owned(), process, _folder: folder })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The processor time that the daemon has used, of all its threads.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The name of the program, in brackets, may have anything in it; user and system time are the 14th and 15th field.
        let (_, rest) = stat.rsplit_once(')').context("the name ends")?;
        let times: Vec<u32> = rest.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        Ok(Duration::from_secs(1) * times.iter().sum() / TICKS_PER_SECOND)
    }

    /// How much of the daemon's memory is resident.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("there is such a line")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes << 10)
    }

    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let asked = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status()?;
        anyhow::ensure!(asked.success() && self.process.wait()?.success(), "the daemon does not end well");
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Only a bench that failed finds it running still.
        drop(self.process.kill());
    }
}
