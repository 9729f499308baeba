//! A daemon that serves a plugin which means harm beside one that does not.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::{
    daemon::{Daemon, JSON, LINES},
    setup::{Folder, told},
};

/// The frame of types of a transform, which the end-to-end tests fill with hostile code as well.
const FRAME: &str = include_str!("../../../tests/end_to_end/components/transform.wat");

/// Takes an int64 `x` and gives an int64 `y`, neither nullable: the result at 16 is a descriptor of these two fields.
const CONFIGURE: &str = r#"
    (memory (export "memory") 1)
    (data (i32.const 44) "\80\00\00\00\01\00\00\00\c0\00\00\00\01\00\00\00\00")
    (data (i32.const 120) "xy")
    (data (i32.const 128) "\78\00\00\00\01\00\00\00\01\00\00\00\00\00\00\00\00")
    (data (i32.const 192) "\79\00\00\00\01\00\00\00\01\00\00\00\00\00\00\00\00")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 32768))
    (func (export "configure") (param i32 i32 i32 i32) (result i32) (i32.const 16))"#;

/// The value on which the plugin never ends. The check before publication must not come upon it, and it tries the numbers
/// that stand in the code, so that the code has it in two parts.
const BAIT: i64 = 0x5851_f42d_4c95_7f2d ^ 0x1405_7b7e_f767_814f;

/// Answers each value with itself, but for the bait.
const APPLY: &str = r#"
    (memory (export "memory") 16)
    (global $next (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32)
        (local $block i32)
        (local.set $block (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
        (global.set $next (i32.add (local.get $block) (local.get $size)))
        (local.get $block))
    (func (export "apply") (param $rows i32) (param $columns i32) (param i32) (result i32)
        (local $row i32) (local $values i32)
        (local.set $values (i32.load offset=4 (local.get $columns)))
        (block $done (loop $each
            (br_if $done (i32.eq (local.get $row) (local.get $rows)))
            (if (i64.eq
                    (i64.xor (i64.load (i32.add (local.get $values) (i32.shl (local.get $row) (i32.const 3))))
                        (i64.const 0x5851_f42d_4c95_7f2d))
                    (i64.const 0x1405_7b7e_f767_814f))
                (then (loop $ever (br $ever))))
            (local.set $row (i32.add (local.get $row) (i32.const 1)))
            (br $each)))
        ;; The result is at 1024: so many rows, of one column at 2048, whose values are those that came in.
        (i32.store (i32.const 1028) (local.get $rows))
        (i64.store (i32.const 1032) (i64.const 0x1_0000_0800))
        (i32.store (i32.const 2048) (i32.const 1))
        (i32.store (i32.const 2052) (local.get $values))
        (i32.store (i32.const 2056) (local.get $rows))
        (i32.const 1024))"#;

const SERVICE: &str = r#"
[service.trap]
features = ["carrier_delay:dep_delay_count_24h", "origin_delay:dep_delay_count_24h"]
request = { bait = "int64" }

[[service.trap.derive]]
plugin = "glutton"
input = ["bait"]
output = ["waste"]
"#;

/// What is asked of the service: every other row never ends.
const BAITS: [i64; 10] = [BAIT, 1, BAIT, 2, BAIT, 3, BAIT, 4, BAIT, 5];

/// The demo's definition, and a service with a plugin that loops on one value.
fn applied() -> Folder {
    let folder = Folder::new();
    let text = FRAME.replace("{configure}", CONFIGURE).replace("{apply}", APPLY).replace("{options}", "");
    fs::create_dir(folder.path("plugins")).expect("a folder");
    fs::write(folder.path("plugins/glutton.wasm"), wat::parse_str(text).expect("a component")).expect("a file");
    let definition = fs::read_to_string(folder.path("oast.toml")).expect("the demo's definition") + SERVICE;
    fs::write(folder.path("oast.toml"), definition).expect("a file");
    let (status, _, stderr) = told(folder.oast(&["apply"]));
    assert_eq!(status, Some(0), "{stderr}");
    folder
}

fn look_up(daemon: &Daemon, service: &str, request: &[Value]) -> Value {
    let entities: Vec<_> = request.iter().map(|_| json!({"carrier": "AA", "origin": "JFK"})).collect();
    let body = json!({"service": service, "at": "2013-01-01T11:00:00Z", "entities": entities, "request": request});
    let (status, answer) = daemon.post("/v1/lookup", JSON, &body.to_string());
    assert_eq!(status, 200, "{answer}");
    answer["rows"].clone()
}

/// A lookup whose rows burn all their fuel, several seconds of it, keeps nobody waiting: others are answered while it runs.
#[test]
fn a_daemon_answers_others_while_a_plugin_burns_its_fuel() {
    let folder = applied();
    let daemon = Daemon::start(&folder, &[]);
    let event = json!({
        "flight_id": "1", "carrier": "AA", "origin": "JFK", "dest": "BOS", "tailnum": null, "distance": 187.0,
        "dep_delay": 10, "sched_time": "2013-01-01T10:00:00Z", "dep_time": "2013-01-01T10:10:00Z",
    });
    let (status, report) = daemon.post("/v1/events/departures", LINES, &event.to_string());
    assert_eq!(status, 200, "{report}");

    let honest = |daemon: &Daemon| look_up(daemon, "delay_model", &[json!({"distance": 187.0})]);
    let alone = honest(&daemon);
    let done = AtomicBool::new(false);
    let (burnt, answered) = thread::scope(|scope| {
        let hostile = scope.spawn(|| {
            let burnt = look_up(&daemon, "trap", &BAITS.map(|bait| json!({"bait": bait})));
            done.store(true, Ordering::Release);
            burnt
        });
        let mut answered = 0;
        while !done.load(Ordering::Acquire) {
            assert_eq!(honest(&daemon), alone);
            answered += 1;
        }
        (hostile.join().expect("the hostile lookup is answered"), answered)
    });
    assert!(answered > 20, "{answered} lookups were answered while five rows ran out of fuel");
    let wasted = burnt.as_array().into_iter().flatten().map(|row| (row["values"][2].clone(), row["status"][2].clone()));
    let told = |bait: i64| match bait {
        BAIT => (Value::Null, json!("failed")),
        _ => (json!(bait), json!("present")),
    };
    assert_eq!(wasted.collect::<Vec<_>>(), BAITS.map(told));

    assert_eq!(honest(&daemon), alone);
    assert_eq!(daemon.get("/readyz"), (200, json!({"status": "ready"})));
    assert_eq!(daemon.stop(), Some(0));
    check_without_component(&folder);
}

/// With its component gone, the service is named as one that cannot be served, and the other serves.
fn check_without_component(folder: &Folder) {
    let component = fs::read(folder.path("plugins/glutton.wasm")).expect("the component");
    let kept = fs::read_dir(folder.path("oast-data/components")).expect("the components");
    let kept = kept.map(|entry| entry.expect("an entry").path());
    let kept: Vec<_> = kept.filter(|path| fs::read(path).is_ok_and(|bytes| bytes == component)).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    fs::write(&kept[0], "damaged").expect("a file");

    let daemon = Daemon::start(folder, &[]);
    let (status, ready) = daemon.get("/readyz");
    assert_eq!((status, &ready["status"]), (200, &json!("ready")), "{ready}");
    assert!(ready["unservable"]["trap"].is_string() && ready["unservable"]["delay_model"].is_null(), "{ready}");
    assert!(daemon.text("/metrics").contains("oast_services_unservable 1\n"), "it is counted as well");
    let refused =
        json!({"service": "trap", "entities": [{"carrier": "AA", "origin": "JFK"}], "request": [{"bait": 1}]});
    let (status, refusal) = daemon.post("/v1/lookup", JSON, &refused.to_string());
    assert_eq!((status, &refusal["error"]["code"]), (503, &json!("unservable_service")), "{refusal}");
    look_up(&daemon, "delay_model", &[json!({"distance": 187.0})]);
    assert_eq!(daemon.stop(), Some(0));
}
