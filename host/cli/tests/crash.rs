//! An acknowledged event survives `kill -9` and failing disks, once, and lookups say so.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        mpsc::{Sender, channel},
    },
};

use serde_json::{Value, json};
use ureq::Agent;

use crate::setup::{Folder, told};

const DEFINITION: &str = r#"
[source.clicks]
keys = { user = "utf8" }
event_time = "at"
idempotency_key = "id"
fields = { id = "int64", amount = "float64" }

[view.spend]
source = "clicks"
entity = ["user"]

[[view.spend.aggregate]]
plugin = "moments"
input = ["amount"]
outputs = ["count", "sum"]
windows = ["lifetime", "last_3", "session_3650d"]

[service.model]
features = ["spend:*"]
"#;

const USERS: u64 = 5;
const SENDERS: u64 = 3;
/// The beginning of 2020, in microseconds. Events happen in the order of their ids, and are sent in another.
const BEGUN: u64 = 1_577_836_800_000_000;

/// The daemon of one round.
pub(crate) struct Daemon {
    process: Child,
    pub(crate) url: String,
}

impl Daemon {
    /// Starts a daemon, behind a shim that makes the system's calls fail if there is one.
    fn start_with(folder: &Folder, shim: Option<(&Path, String)>) -> Self {
        let mut command = folder.command(&["serve", "--listen", "127.0.0.1:0"]);
        if let Some((shim, fault)) = shim {
            command.env("LD_PRELOAD", shim).env("OAST_FAULT", fault);
        }
        Self::start(command)
    }

    /// Starts a daemon by this command, which is to choose a free port.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the daemon starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("it is piped"));
        stdout.read_line(&mut line).expect("the daemon says where it is");
        let url = line.trim().strip_prefix("oast serves at ").expect("its address").to_owned();
        Self { process, url }
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("the daemon runs");
        self.process.wait().expect("the daemon ends");
    }
}

fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).build().into()
}

/// Posts and reads the answer; nothing if the daemon died first.
pub(crate) fn post(url: &str, media_type: &str, body: &str) -> Option<Value> {
    let mut response = agent().post(url).header("content-type", media_type).send(body).ok()?;
    response.body_mut().read_json().ok()
}

fn click(id: u64) -> String {
    let at = BEGUN + id;
    json!({"user": format!("u{}", id % USERS), "at": at, "id": id, "amount": id as f64}).to_string()
}

/// A generator of numbers that are the same on every run (Steele, Lea and Flood, SplitMix64).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Sends batches until the daemon is gone, and reports each that was acknowledged.
fn send(url: &str, sender: u64, round: u64, sent: &Mutex<BTreeSet<u64>>, acknowledged: &Sender<Vec<u64>>) {
    for batch in 0..10_000 {
        let first = (round * SENDERS + sender) * 1_000_000 + batch * 7;
        let ids: Vec<u64> = (first..first + 7).collect();
        sent.lock().expect("no sender panics").extend(&ids);
        let body: Vec<String> = ids.iter().map(|id| click(*id)).collect();
        match post(&format!("{url}/v1/events/clicks"), "application/x-ndjson", &body.join("\n")) {
            Some(report) if report["accepted"] == 7 => acknowledged.send(ids).expect("the round listens"),
            // A disk that fails is said so, and the log takes no more.
            Some(report) if report["error"]["code"].is_string() => return,
            Some(report) => panic!("every event is new and sound: {report}"),
            None => return,
        }
    }
}

/// What goes wrong in a round, apart from the kill.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Nothing,
    /// The disk is full after so many writes.
    Full(u64),
    /// Syncing fails after so many syncs.
    Sync(u64),
    /// After the kill, bytes that were never acknowledged are at the end of the log.
    TornTail,
    /// After the kill, the online state is gone.
    NoState,
    /// After the kill, bytes of the online state are others.
    SpoiledState,
}

impl Fault {
    fn draw(seed: &mut u64) -> Self {
        match split_mix(seed) % 8 {
            0 => Self::Full(20 + split_mix(seed) % 200),
            1 => Self::Sync(3 + split_mix(seed) % 40),
            2 => Self::TornTail,
            3 => Self::NoState,
            4 => Self::SpoiledState,
            _ => Self::Nothing,
        }
    }

    /// What the shim in front of the system's calls is told.
    fn environment(self) -> Option<String> {
        match self {
            Self::Full(writes) => Some(format!("write:{writes}")),
            Self::Sync(syncs) => Some(format!("sync:{syncs}")),
            _ => None,
        }
    }

    /// Spoils what the killed daemon left.
    fn spoil(self, folder: &Folder, seed: &mut u64) {
        let state = folder.path("oast-data/state");
        match self {
            Self::TornTail => {
                let log = fs::read_dir(folder.path("oast-data/log")).expect("the log's folder");
                let mut wals: Vec<_> = log.map(|file| file.expect("a file").path()).collect();
                wals.retain(|path| path.extension().is_some_and(|end| end == "wal"));
                wals.sort();
                let last = wals.last().expect("there is always an active file");
                let mut file = fs::OpenOptions::new().append(true).open(last).expect("it opens");
                let garbage: Vec<u8> = (0..1 + split_mix(seed) % 300).map(|_| split_mix(seed) as u8).collect();
                file.write_all(&garbage).expect("garbage is written");
            }
            Self::NoState => fs::remove_dir_all(state).expect("the state is removed"),
            Self::SpoiledState => {
                let path = state.join("sled/db");
                let mut bytes = fs::read(&path).expect("the state is read");
                for _ in 0..20 {
                    let at = split_mix(seed) as usize % bytes.len();
                    bytes[at] ^= 0xff;
                }
                fs::write(&path, bytes).expect("the state is spoiled");
            }
            Self::Nothing | Self::Full(_) | Self::Sync(_) => {}
        }
    }
}

/// The library that makes the system's calls fail, compiled for this test.
pub(crate) fn shim(folder: &Folder) -> PathBuf {
    let library = folder.path("fault.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fault.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(compiler.status().expect("a C compiler is there").success(), "the shim compiles");
    library
}

/// What was sent to the daemons so far, and what the last one was sent and acknowledged.
#[derive(Default)]
struct Sent {
    all: BTreeSet<u64>,
    last: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
}

/// Runs a daemon under load and kills it after some acknowledgements, or when it takes no more.
fn round(folder: &Folder, shim: &Path, number: u64, kill_after: u64, fault: Fault) -> Sent {
    let daemon = Daemon::start_with(folder, fault.environment().map(|fault| (shim, fault)));
    let (url, sent) = (daemon.url.clone(), Mutex::new(BTreeSet::new()));
    let acknowledged = std::thread::scope(|scope| {
        let (acknowledged, heard) = channel();
        for sender in 0..SENDERS {
            let (acknowledged, url, sent) = (acknowledged.clone(), &url, &sent);
            scope.spawn(move || send(url, sender, number, sent, &acknowledged));
        }
        drop(acknowledged);
        let mut ids: BTreeSet<u64> = heard.iter().take(kill_after as usize).flatten().collect();
        daemon.kill();
        ids.extend(heard.iter().flatten());
        ids
    });
    let last = sent.into_inner().expect("no sender panics");
    Sent { all: BTreeSet::new(), last, acknowledged }
}

/// Checks a restarted daemon: what was acknowledged is there, nothing is there twice, and lookups say what was sent. Returns what
/// it answered.
fn check(folder: &Folder, sent: &mut Sent) -> Value {
    let daemon = Daemon::start_with(folder, None);
    let events = format!("{}/v1/events/clicks", daemon.url);
    let post_ids = |ids: &BTreeSet<u64>| {
        let lines: Vec<String> = ids.iter().map(|id| click(*id)).collect();
        post(&events, "application/x-ndjson", &lines.join("\n")).expect("a report")
    };
    let again = post_ids(&sent.acknowledged);
    let counted = |report: &Value| report["accepted"].as_u64().zip(report["duplicates"].as_u64());
    assert_eq!(counted(&again), Some((0, sent.acknowledged.len() as u64)), "what was acknowledged is there: {again}");
    let rest = post_ids(&sent.last);
    assert_eq!(counted(&rest).map(|(new, old)| new + old), Some(sent.last.len() as u64), "{rest}");
    sent.all.append(&mut sent.last);

    let entities: Vec<Value> = (0..USERS).map(|user| json!({"user": format!("u{user}")})).collect();
    let request = json!({"service": "model", "entities": entities, "receipt": true}).to_string();
    let answer = post(&format!("{}/v1/lookup", daemon.url), "application/json", &request).expect("an answer");
    for user in 0..USERS {
        let mine: Vec<u64> = sent.all.iter().copied().filter(|id| id % USERS == user).collect();
        let features = |ids: &[u64]| [json!(ids.len()), json!(ids.iter().sum::<u64>() as f64)];
        let last = &mine[mine.len().saturating_sub(3)..];
        // They are all of one session, which goes on.
        let expected = json!([features(&mine), features(last), features(&mine)].concat());
        assert_eq!(answer["rows"][user as usize]["values"], expected, "every event of u{user} counts once");
    }
    daemon.kill();
    answer
}

/// How often a daemon is killed: 24 times, or as often as `OAST_CRASH_KILLS` says, from the seed `OAST_CRASH_SEED`.
fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn acknowledged_events_survive_kills_and_failing_disks_and_are_there_once() {
    let folder = Folder::new();
    fs::write(folder.path("oast.toml"), DEFINITION).expect("the definition is written");
    let (status, _, stderr) = told(folder.oast(&["apply"]));
    assert_eq!(status, Some(0), "{stderr}");
    let shim = shim(&folder);
    let (kills, mut seed) = (from_environment("OAST_CRASH_KILLS", 24), from_environment("OAST_CRASH_SEED", 7));
    let mut sent = Sent::default();
    let mut answers = fs::File::create(folder.path("answers.jsonl")).expect("a file for the answers");
    for number in 0..kills / 2 {
        let (fault, kill_after) = (Fault::draw(&mut seed), 1 + split_mix(&mut seed) % 40);
        eprintln!("round {number}: {fault:?}, killed after {kill_after} answers");
        let Sent { last, acknowledged, .. } = round(&folder, &shim, number, kill_after, fault);
        (sent.last, sent.acknowledged) = (last, acknowledged);
        fault.spoil(&folder, &mut seed);
        // The check kills its daemon as well.
        writeln!(answers, "{}", check(&folder, &mut sent)).expect("an answer is written");
    }
    let (status, stdout, stderr) = told(folder.oast(&["log", "verify"]));
    assert_eq!(status, Some(0), "{stdout}{stderr}");
    let (status, stdout, stderr) = told(folder.oast(&["verify", "--receipts", "answers.jsonl"]));
    assert_eq!(status, Some(0), "{stdout}{stderr}");
}
