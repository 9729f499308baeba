use std::cell::Cell;

use super::*;
use crate::{
    config::{SEMANTICS, Semantics},
    engine::start_wasmtime,
};

const COMPONENT: &[u8] = include_bytes!("../../../../tests/fixtures/components/0.1.0/ratio.wasm");

/// A cache in a temporary folder, and how often it compiled.
struct Cache {
    folder: tempfile::TempDir,
    compiled: Cell<u32>,
}

impl Cache {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), compiled: Cell::new(0) }
    }

    /// Loads the component, with a cache that was opened anew, as after a restart.
    fn load(&self) -> Component {
        let engine = Engine::shared().unwrap();
        let compile = || {
            self.compiled.set(self.compiled.get() + 1);
            SEMANTICS.compile(engine.wasmtime(), COMPONENT).map_err(EngineError::Invalid)
        };
        let artefacts = Artefacts::open(self.folder.path()).unwrap();
        artefacts.load(&engine, ComponentHash::of(COMPONENT), compile).unwrap()
    }

    fn file(&self) -> PathBuf {
        let engine = Engine::shared().unwrap();
        let artefacts = Artefacts::open(self.folder.path()).unwrap();
        artefacts.path(ComponentHash::of(COMPONENT), engine.fingerprint())
    }

    /// Changes the file and expects that it is compiled again, once.
    fn check_recompiled(&self, what: &str, change: impl FnOnce(&Path)) {
        self.load();
        let before = self.compiled.get();
        change(&self.file());
        self.load();
        assert_eq!(self.compiled.get(), before + 1, "{what}");
        self.load();
        assert_eq!(self.compiled.get(), before + 1, "{what}: it is mended");
    }
}

fn edit(path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    edit(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_restart_compiles_nothing() {
    let cache = Cache::new();
    cache.load();
    cache.load();
    assert_eq!(cache.compiled.get(), 1);
}

#[test]
fn a_file_that_is_not_what_was_written_is_compiled_again() {
    let cache = Cache::new();
    cache.check_recompiled("a changed byte of code", |path| edit(path, |bytes| bytes[5000] ^= 1));
    cache.check_recompiled("a changed byte of the hash", |path| {
        edit(path, |bytes| *bytes.last_mut().unwrap() ^= 1);
    });
    cache.check_recompiled("half a file", |path| edit(path, |bytes| bytes.truncate(bytes.len() / 2)));
    cache.check_recompiled("an empty file", |path| edit(path, Vec::clear));
    cache.check_recompiled("no file", |path| fs::remove_file(path).unwrap());
    cache.check_recompiled("another key", |path| fs::write(path.with_file_name(KEY), [7; 32]).unwrap());
    cache.check_recompiled("half a key", |path| fs::write(path.with_file_name(KEY), [7; 16]).unwrap());
}

#[test]
fn only_the_owner_can_read_the_key_and_write_beside_it() {
    let cache = Cache::new();
    fs::set_permissions(cache.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    cache.load();
    assert_eq!(fs::metadata(cache.folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
    let key = cache.file().with_file_name(KEY);
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn an_artefact_does_not_pass_for_that_of_another_component() {
    let cache = Cache::new();
    cache.load();
    let engine = Engine::shared().unwrap();
    let artefacts = Artefacts::open(cache.folder.path()).unwrap();
    let other = ComponentHash::of(b"another");
    let path = artefacts.path(other, engine.fingerprint());
    fs::copy(cache.file(), &path).unwrap();
    assert!(artefacts.open_genuine(&cache.file(), ComponentHash::of(COMPONENT), engine.fingerprint()).is_some());
    assert!(artefacts.open_genuine(&path, other, engine.fingerprint()).is_none());
}

#[test]
fn a_file_that_takes_the_place_of_a_genuine_one_is_not_what_runs() {
    let cache = Cache::new();
    let hash = cache.load().hash();
    let engine = Engine::shared().unwrap();
    let artefacts = Artefacts::open(cache.folder.path()).unwrap();
    let genuine = artefacts.open_genuine(&cache.file(), hash, engine.fingerprint()).unwrap();
    let forged = cache.folder.path().join("forged");
    fs::write(&forged, b"not what was hashed").unwrap();
    fs::rename(&forged, cache.file()).unwrap();
    assert!(artefacts.open_genuine(&cache.file(), hash, engine.fingerprint()).is_none());
    let component = Component::from_artefact_file(&engine, hash, &genuine).unwrap();
    assert_eq!(component.exports(), cache.load().exports());
}

#[test]
fn artefacts_of_another_build_go_when_their_component_is_compiled() {
    let cache = Cache::new();
    let old = cache.folder.path().join(format!("{}-0123456789ab.artefact", ComponentHash::of(COMPONENT)));
    let foreign = cache.folder.path().join(format!("{}-0123456789ab.artefact", ComponentHash::of(b"another")));
    fs::write(&old, b"old").unwrap();
    fs::write(&foreign, b"foreign").unwrap();
    cache.load();
    assert!(!old.exists());
    assert!(foreign.exists());
}

/// Wasmtime by itself loads an artefact that was compiled under another NaN rule, and it leaks payloads then.
#[test]
fn an_artefact_of_another_nan_rule_is_never_run() {
    let engine = Engine::shared().unwrap();
    let other = Semantics { canonical_nans: false, ..SEMANTICS };
    let compiler = start_wasmtime(other.compiling_config(), other.fingerprint()).unwrap();
    let artefact = other.compile(&compiler, COMPONENT).unwrap();

    // Even with the right name and a genuine hash.
    let cache = Cache::new();
    let artefacts = Artefacts::open(cache.folder.path()).unwrap();
    artefacts.store(&cache.file(), ComponentHash::of(COMPONENT), engine.fingerprint(), &artefact).unwrap();
    let refused = Component::from_artefact(&engine, ComponentHash::of(COMPONENT), &artefact).err().unwrap();
    let refused = format!("{:?}", std::error::Error::source(&refused).unwrap());
    assert!(refused.contains("incompatible"), "{refused}");
    cache.load();
    assert_eq!(cache.compiled.get(), 1);
}
