//! How a plugin in Rust becomes a component whose bytes are the same on every machine.
//!
//! The build script of this crate compiles the standard plugins by this recipe, and `oast plugin build` those of authors. A
//! component is identified by the hash of its bytes, so the flags are set here and nowhere else, and the paths of the machine
//! are mapped away.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// What plugins are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The cargo profile of components: small, fast and the same bytes on every machine. Manifests need not declare it.
const PROFILE: &str = "plugin";
const PROFILE_SETTINGS: [&str; 10] = [
    "inherits='release'",
    "opt-level=3",
    "lto=true",
    "codegen-units=1",
    "panic='abort'",
    "strip=true",
    "debug=false",
    "debug-assertions=false",
    "overflow-checks=false",
    "incremental=false",
];

/// The stack is touched from the top; a small one keeps the initial memory, which every instance carries, small.
const STACK_BYTES: u32 = 64 * 1024;

/// Settings of the surroundings that would change the bytes or break the build.
const FOREIGN_SETTINGS: [&str; 10] = [
    "CARGO_BUILD_",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_INCREMENTAL",
    "CARGO_PROFILE_",
    "CARGO_TARGET_",
    "CLIPPY_",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
];

/// Set for the cargo that compiles a plugin, whose compiler is the running program in front of the real one.
const IN_FRONT_OF_COMPILER: &str = "OAST_IN_FRONT_OF_COMPILER";

/// One plugin to compile.
#[derive(Debug, Clone, Copy)]
pub struct Recipe<'a> {
    /// The cargo to call.
    pub cargo: &'a OsStr,
    /// The program to put in front of the compiler, which calls [`compile_as_anywhere`] when [`is_in_front_of_compiler`]. It is
    /// the running one.
    pub wrapper: &'a Path,
    /// The folder that holds `Cargo.lock`; paths inside are named as if it were `root_name`.
    pub root: &'a Path,
    /// What the root is called in panic messages.
    pub root_name: &'a str,
    /// The package.
    pub package: &'a str,
    /// Where cargo puts what it makes.
    pub target_dir: &'a Path,
}

impl Recipe<'_> {
    /// The call of cargo.
    pub fn command(&self) -> Command {
        let mut cargo = Command::new(self.cargo);
        forget_foreign_settings(&mut cargo);
        for setting in PROFILE_SETTINGS {
            cargo.arg("--config").arg(format!("profile.{PROFILE}.{setting}"));
        }
        cargo
            .current_dir(self.root)
            .args(["rustc", "--locked", "--lib", "--crate-type", "cdylib"])
            .args(["--profile", PROFILE, "--target", TARGET, "--package", self.package, "--target-dir"])
            .arg(self.target_dir)
            .args(["--", &format!("-Clink-arg=-zstack-size={STACK_BYTES}")])
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-component-ld")
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags())
            .env("RUSTC_WRAPPER", self.wrapper)
            .env(IN_FRONT_OF_COMPILER, "1");
        cargo
    }

    /// Panic messages quote source files; these flags take the folders of this machine out of them. Every engine runs SIMD of
    /// fixed width, and loops over columns are made of it where it is allowed.
    fn flags(&self) -> String {
        let cargo_home = env::var_os("CARGO_HOME").map_or_else(default_cargo_home, PathBuf::from);
        let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
        let simd = "-Ctarget-feature=+simd128".to_owned();
        [remap(&cargo_home, "/cargo"), remap(self.root, self.root_name), simd].join("\u{1f}")
    }

    /// The component that cargo has made.
    pub fn component(&self) -> PathBuf {
        let file = format!("{}.wasm", self.package.replace('-', "_"));
        self.target_dir.join(TARGET).join(PROFILE).join(file)
    }
}

/// What stops a build, and what to do about it.
#[derive(Debug)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Makes sure that the compiler can compile plugins, adding the target if it is missing.
pub fn require_target(rustc: &OsStr, root: &Path) -> Result<(), Fault> {
    let mut print = Command::new(rustc);
    let printed = print.current_dir(root).args(["--print", "target-libdir", "--target", TARGET]).output();
    let folder = match printed {
        Ok(output) => PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()),
        Err(error) => {
            let message = format!("the compiler `{}` does not start: {error}", rustc.display());
            return Err(Fault { message, hint: "install Rust from https://rustup.rs".to_owned() });
        }
    };
    if folder.is_dir() {
        return Ok(());
    }
    let added = Command::new("rustup").current_dir(root).args(["target", "add", TARGET]).status();
    if added.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(Fault {
        message: format!("the target `{TARGET}` is not installed, and rustup could not add it"),
        hint: format!("run `rustup target add {TARGET}`, or install your distribution's package of it"),
    })
}

/// Whether this process was started as the compiler of a plugin.
pub fn is_in_front_of_compiler() -> bool {
    env::var_os(IN_FRONT_OF_COMPILER).is_some()
}

/// Runs the compiler that the arguments name, with crate identities that are the same on every host.
///
/// Cargo mixes the host's name into the identity of every crate, and the compiler orders its output by it, so that the same
/// sources would give other bytes on x86-64 and on aarch64. Package, version and crate name identify a crate as well.
pub fn compile_as_anywhere() -> io::Result<ExitStatus> {
    let mut args = env::args_os().skip(1);
    let compiler = args.next().ok_or_else(|| io::Error::other("there is no compiler to run"))?;
    Command::new(compiler).args(args.map(|arg| identity(&arg).unwrap_or(arg))).status()
}

/// What stands in for the argument `metadata=…`; nothing for any other.
fn identity(arg: &OsStr) -> Option<OsString> {
    arg.to_str()?.strip_prefix("metadata=")?;
    let package = env::var("CARGO_PKG_NAME").ok()?;
    let version = env::var("CARGO_PKG_VERSION").ok()?;
    let name = env::var("CARGO_CRATE_NAME").ok()?;
    Some(format!("metadata={package}-{version}-{name}").into())
}

fn forget_foreign_settings(cargo: &mut Command) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if FOREIGN_SETTINGS.iter().any(|prefix| text.starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
}

fn default_cargo_home() -> PathBuf {
    env::home_dir().unwrap_or_default().join(".cargo")
}
