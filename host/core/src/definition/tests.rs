//! What is read of a right definition, and what is said of wrong ones.

mod errors;

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::{DataType, Field};

/// A definition that uses everything, on lines that the errors below count on.
const SAMPLE: &str = r#"
[source.departures]
keys = { carrier = "utf8", origin = "utf8" }
event_time = "dep_time"
available_time = "dep_time"
idempotency_key = "flight_id"
fields = { flight_id = "utf8", dest = "utf8", distance = "float64", dep_delay = "float64?" }
retention = "400d"

[[source.departures.check]]
field = "dep_delay"
min = -120.0
max = 3000

[source.planes]
keys = { tailnum = "utf8" }
event_time = "event_time"
fields = { model = "utf8?", seats = "int64?", photo = "vector[4]?" }
max_future = "0s"

[view.carrier_delay]
source = "departures"
entity = ["carrier"]
transform = [ { plugin = "fill", params = { dep_delay = 0.0 } } ]
ttl = "30d"

[[view.carrier_delay.aggregate]]
plugin = "moments"
input = ["dep_delay"]
windows = ["1h", "24h", "7d"]
outputs = ["count", "mean", "stddev"]

[[view.carrier_delay.aggregate]]
plugin = "distinct@1.2.0"
input = ["dest"]
windows = ["lifetime", "90m"]
hop = "1m"
name = "dests"

[view.plane_latest]
source = "planes"
entity = ["tailnum"]
latest = ["model", "seats"]
ttl = "3650d"

[service.delay_model]
features = ["carrier_delay:*", "plane_latest:seats"]
request = { distance = "float64", age = "int64?" }

[[service.delay_model.derive]]
plugin = "ratio"
input = ["carrier_delay:dep_delay_mean_1h", "carrier_delay:dep_delay_mean_7d"]
output = ["delay_trend"]

[[service.delay_model.derive]]
plugin = "ratio"
params = { zero = 1 }
input = ["delay_trend", "distance"]
output = ["trend_per_mile"]
"#;

fn files(texts: &[(&str, &str)]) -> Vec<(PathBuf, String)> {
    texts.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect()
}

fn parse(text: &str) -> Result<Definition, DefinitionErrors> {
    Definition::parse(&files(&[("oast.toml", text)]))
}

/// The sample with texts in it replaced.
fn edited(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(SAMPLE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the sample has no `{from}`");
        text.replacen(from, to, 1)
    })
}

fn sample() -> Definition {
    parse(SAMPLE).unwrap_or_else(|errors| panic!("{errors}"))
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn location(line: usize, column: usize) -> Location {
    Location { file: Arc::new(PathBuf::from("oast.toml")), line, column }
}

#[test]
fn a_source_is_read() {
    let definition = sample();
    let departures = &definition.sources["departures"];
    let columns = vec![
        Field::new("carrier", DataType::Utf8),
        Field::nullable("dep_delay", DataType::Float64),
        Field::new("dep_time", DataType::Timestamp),
        Field::new("dest", DataType::Utf8),
        Field::new("distance", DataType::Float64),
        Field::new("flight_id", DataType::Utf8),
        Field::new("origin", DataType::Utf8),
    ];
    let (min, max) = (Some(Value::Float64(-120.0)), Some(Value::Float64(3000.0)));
    let expect = Source {
        name: "departures".to_owned(),
        location: location(2, 1),
        schema: Schema::new(columns).unwrap(),
        keys: strings(&["carrier", "origin"]),
        event_time: "dep_time".to_owned(),
        available_time: Some("dep_time".to_owned()),
        idempotency_key: Some("flight_id".to_owned()),
        retention: Some(TimeSpan::from_days(400)),
        max_future: TimeSpan::from_days(1),
        checks: vec![Check { field: "dep_delay".to_owned(), min, max, one_of: None }],
    };
    assert_eq!(*departures, expect);
    assert_eq!(definition.sources["planes"].max_future, TimeSpan::from_micros(0));
}

#[test]
fn a_view_is_read() {
    let definition = sample();
    let view = &definition.views["carrier_delay"];
    assert_eq!((view.source.as_str(), &view.entity), ("departures", &strings(&["carrier"])));
    assert_eq!((view.ttl, &view.location), (Some(TimeSpan::from_days(30)), &location(21, 1)));
    let fill = PluginUse {
        location: location(24, 15),
        plugin: PluginRef::Name("fill".to_owned()),
        params: r#"{"dep_delay":0.0}"#.to_owned(),
        input: None,
        output: None,
    };
    assert_eq!(view.transforms, [fill]);
    let ViewFeatures::Aggregates(aggregates) = &view.features else { panic!("the view aggregates") };
    let [moments, distinct] = aggregates.as_slice() else { panic!("there are two aggregates") };

    assert_eq!((moments.name.as_str(), &moments.outputs), ("dep_delay", &Some(strings(&["count", "mean", "stddev"]))));
    let sawtooth = |text: &str| (text.to_owned(), Window::sawtooth(text.parse().unwrap()));
    assert_eq!(moments.windows, [sawtooth("1h"), sawtooth("24h"), sawtooth("7d")]);
    assert_eq!(moments.feature_name("mean", "24h"), "dep_delay_mean_24h");

    let (length, hop) = (TimeSpan::from_minutes(90), TimeSpan::from_minutes(1));
    let windows = [("lifetime".to_owned(), Window::Lifetime), ("90m".to_owned(), Window::Sawtooth { length, hop })];
    assert_eq!((distinct.name.as_str(), distinct.windows.as_slice()), ("dests", windows.as_slice()));
    assert_eq!(
        (distinct.plugin.plugin.to_string().as_str(), distinct.plugin.params.as_str()),
        ("distinct@1.2.0", "{}")
    );
    assert_eq!(definition.views["plane_latest"].features, ViewFeatures::Latest(strings(&["model", "seats"])));
}

#[test]
fn last_events_and_sessions_are_windows() {
    let text = SAMPLE.replace(r#"["lifetime", "90m"]"#, r#"["last_10", "90m", "session_30m"]"#);
    let definition = parse(&text).unwrap();
    let ViewFeatures::Aggregates(aggregates) = &definition.views["carrier_delay"].features else {
        panic!("the view aggregates")
    };
    let windows: Vec<Window> = aggregates[1].windows.iter().map(|(_, window)| *window).collect();
    let (length, hop) = (TimeSpan::from_minutes(90), TimeSpan::from_minutes(1));
    let session = Window::Session { gap: TimeSpan::from_minutes(30) };
    assert_eq!(windows, [Window::Last { events: 10 }, Window::Sawtooth { length, hop }, session]);
    assert_eq!(aggregates[1].feature_name("count", "session_30m"), "dests_count_session_30m");
}

#[test]
fn a_service_is_read() {
    let service = &sample().services["delay_model"];
    assert_eq!(
        service.features.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["carrier_delay:*", "plane_latest:seats"]
    );
    let request = vec![Field::nullable("age", DataType::Int64), Field::new("distance", DataType::Float64)];
    assert_eq!(service.request, Schema::new(request).unwrap());
    assert_eq!(service.derives[1].input, Some(strings(&["delay_trend", "distance"])));
    assert_eq!(service.derives[1].output, Some(strings(&["trend_per_mile"])));
}

#[test]
fn a_definition_may_be_split_in_any_order() {
    let (sources, views) = SAMPLE.split_at(SAMPLE.find("[view.").unwrap());
    let main = format!("include = [\"features/*.toml\", \"more.toml\"]\n{views}");
    let split = Definition::parse(&files(&[("oast.toml", &main), ("features/a.toml", sources)])).unwrap();
    let names = |definition: &Definition| {
        let Definition { sources, views, services } = definition;
        [sources.keys().collect::<Vec<_>>(), views.keys().collect(), services.keys().collect()]
            .map(|names| format!("{names:?}"))
    };
    assert_eq!(names(&split), names(&sample()));
    assert_eq!(*split.sources["planes"].location.file, PathBuf::from("features/a.toml"));

    let includes = Definition::includes(Path::new("oast.toml"), &main).unwrap();
    let shown: Vec<_> = includes.iter().map(|include| format!("{} {}", include.location, include.pattern)).collect();
    assert_eq!(shown, ["oast.toml:1:12 features/*.toml", "oast.toml:1:31 more.toml"]);
    assert_eq!(Definition::includes(Path::new("oast.toml"), SAMPLE).unwrap(), []);
}

#[test]
fn errors_name_their_file() {
    let check = |texts: &[(&str, &str)], expect: &[&str]| {
        let errors = Definition::parse(&files(texts)).unwrap_err().0;
        assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expect, "{texts:?}");
    };
    let source = "[source.a]\nkeys = { k = \"utf8\" }\nevent_time = \"t\"\n";
    check(
        &[("oast.toml", source), ("b.toml", "# again\nsource.a = {}\n"), ("c.toml", "view.v = 1\n[source.b]")],
        &[
            "b.toml:2:8: source `a` is already declared at oast.toml:1:9\n  hint: rename or remove one of the two",
            "c.toml:1:10: `v` is an integer, expected a table\n  hint: for example `[view.carrier_delay]`",
            "c.toml:2:1: source `b` has no `keys`\n  hint: add it, for example `keys = { carrier = \"utf8\" }`",
            "c.toml:2:1: source `b` has no `event_time`\n  hint: add it, for example `event_time = \"dep_time\"`",
        ],
    );
    check(
        &[("oast.toml", "include = [\"b.toml\"]"), ("b.toml", "é = 1\ninclude = []")],
        &[
            "b.toml:1:1: invalid unquoted key, expected letters, numbers, `-`, `_`\n  hint: the syntax of TOML is explained at https://toml.io",
        ],
    );
    let deep = format!("[view.v.{}x]", "x.".repeat(100_000));
    let said = "oast.toml:1:1: recursion limit\n  hint: tables stand in one another at most 80 deep";
    check(&[("oast.toml", &deep)], &[said]);
    check(
        &[("oast.toml", "include = [\"b.toml\"]"), ("b.toml", "\"é\" = { x = 1 }\ninclude = []")],
        &[
            "b.toml:1:1: unknown key `é` in a definition\n  hint: the keys are `include`, `source`, `view`, `service`",
            "b.toml:2:11: an included file cannot include others\n  hint: name all files in the `include` of the main file",
        ],
    );
    check(
        &[("oast.toml", "# é\n[source.\"é\".x]")],
        &[
            "oast.toml:2:9: `é` cannot name a source\n  hint: lower-case letters, digits and `_` can, for example `_`",
            "oast.toml:2:9: source `é` has no `keys`\n  hint: add it, for example `keys = { carrier = \"utf8\" }`",
            "oast.toml:2:9: source `é` has no `event_time`\n  hint: add it, for example `event_time = \"dep_time\"`",
            "oast.toml:2:13: unknown key `x` in source `é`\n  hint: the keys are `keys`, `event_time`, `available_time`, `idempotency_key`, `fields`, `retention`, `max_future`, `check`",
        ],
    );
}

#[test]
fn params_are_canonical() {
    let check = |params: &str, expect: &str| {
        let definition = parse(&edited(&[("params = { dep_delay = 0.0 }", &format!("params = {params}"))]));
        let definition = definition.unwrap_or_else(|errors| panic!("{params}: {errors}"));
        assert_eq!(definition.views["carrier_delay"].transforms[0].params, expect, "{params}");
    };
    check("{}", "{}");
    check("{ b = 1, a = 2, B = 3, \"é\\\"\" = 4 }", r#"{"B":3,"a":2,"b":1,"é\"":4}"#);
    check(
        "{ a = 1.0, b = -0.0, c = 1e300, d = 0.1, e = 1_000.5 }",
        r#"{"a":1.0,"b":-0.0,"c":1e+300,"d":0.1,"e":1000.5}"#,
    );
    check(
        "{ a = 0xff, b = 1_000, c = +5, d = -9223372036854775808 }",
        r#"{"a":255,"b":1000,"c":5,"d":-9223372036854775808}"#,
    );
    check(
        "{ a.c = [1, [\"x\", true], { z = 1, y = 2 }], a.b = \"\" }",
        r#"{"a":{"b":"","c":[1,["x",true],{"y":2,"z":1}]}}"#,
    );
    check("{ a = \"\\u0001\\n\\\\\" }", r#"{"a":"\u0001\n\\"}"#);
    check(
        "{ a = 2013-01-01T05:00:00-05:00, b = 2013-01-01 05:00, c = 2013-01-01, d = 07:30 }",
        r#"{"a":"2013-01-01T10:00:00Z","b":"2013-01-01T05:00:00Z","c":"2013-01-01","d":"07:30:00"}"#,
    );
}

#[test]
fn bounds_take_the_type_of_their_column() {
    let check = |field: &str, gate: &str, expect: Check| {
        let gate = format!("field = \"{field}\"\n{gate}");
        let edits = [
            ("field = \"dep_delay\"\nmin = -120.0\nmax = 3000", gate.as_str()),
            ("dest = \"utf8\"", "dest = \"utf8\", n = \"int64\", b = \"bool\""),
        ];
        let definition = parse(&edited(&edits)).unwrap_or_else(|errors| panic!("{gate}: {errors}"));
        assert_eq!(definition.sources["departures"].checks, [expect], "{gate}");
    };
    let gate = |field: &str| Check { field: field.to_owned(), min: None, max: None, one_of: None };
    let time = |text: &str| Some(Value::Timestamp(text.parse().unwrap()));
    check("n", "min = 0x0\nmax = 5", Check { min: Some(Value::Int64(0)), max: Some(Value::Int64(5)), ..gate("n") });
    check(
        "dep_time",
        "min = 2013-01-01\nmax = \"2014-01-01T00:00:00Z\"",
        Check { min: time("2013-01-01"), max: time("2014-01-01"), ..gate("dep_time") },
    );
    check(
        "carrier",
        "one_of = [\"AA\", \"UA\"]",
        Check { one_of: Some(vec![Value::Utf8("AA".to_owned()), Value::Utf8("UA".to_owned())]), ..gate("carrier") },
    );
    check("b", "one_of = [true]", Check { one_of: Some(vec![Value::Bool(true)]), ..gate("b") });
    check(
        "distance",
        "min = 1\none_of = [1, 2.5]",
        Check {
            min: Some(Value::Float64(1.0)),
            one_of: Some(vec![Value::Float64(1.0), Value::Float64(2.5)]),
            ..gate("distance")
        },
    );
}

#[test]
fn a_plugin_is_named_in_three_ways() {
    let hash = crate::ComponentHash::of(b"kiln");
    let check = |text: &str, expect: PluginRef| {
        let definition = parse(&edited(&[("plugin = \"fill\"", &format!("plugin = \"{text}\""))])).unwrap();
        let plugin = &definition.views["carrier_delay"].transforms[0].plugin;
        assert_eq!((plugin, plugin.to_string().as_str()), (&expect, text));
    };
    check("one-hot", PluginRef::Name("one-hot".to_owned()));
    check("one-hot@1.2.0-rc.1", PluginRef::Version { name: "one-hot".to_owned(), version: "1.2.0-rc.1".to_owned() });
    check(&hash.to_string(), PluginRef::Hash(hash));
}

/// Text that is near to a definition: its own lines and tokens, out of place.
fn scrambled() -> impl Strategy<Value = String> {
    let tokens: Vec<String> = SAMPLE
        .lines()
        .map(|line| format!("{line}\n"))
        .chain(SAMPLE.split_whitespace().map(str::to_owned))
        .chain(
            [
                "[",
                "]",
                "[[",
                "]]",
                "{",
                "}",
                "=",
                ".",
                ",",
                "\"",
                "'''",
                "#",
                "\n",
                "é",
                "\0",
                "inf",
                "1e999",
                "99999999999999999999",
                "0x",
                "1979-05-27",
                "00:00:60",
            ]
            .map(str::to_owned),
        )
        .collect();
    prop::collection::vec(prop::sample::select(tokens), 0..40).prop_map(|tokens| tokens.join(" "))
}

/// The sample with some stretches of its text exchanged for others of it.
fn spliced() -> impl Strategy<Value = String> {
    let splice = (0..SAMPLE.len(), 0..40_usize, 0..SAMPLE.len(), 0..40_usize);
    prop::collection::vec(splice, 1..4).prop_map(|splices| {
        splices.into_iter().fold(SAMPLE.to_owned(), |mut text, (at, removed, from, inserted)| {
            let insert = &SAMPLE[from..SAMPLE.len().min(from + inserted)];
            let at = at.min(text.len());
            text.replace_range(at..text.len().min(at + removed), insert);
            text
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn no_text_makes_the_parser_panic(text in prop_oneof![any::<String>(), scrambled(), spliced()]) {
        let includes = Definition::includes(Path::new("oast.toml"), &text);
        let result = Definition::parse(&files(&[("oast.toml", &text), ("more.toml", SAMPLE)]));
        let lines = text.lines().count().max(1) + 1;
        for error in result.err().into_iter().chain(includes.err()).flat_map(|errors| errors.0) {
            prop_assert!(error.location.line <= lines.max(SAMPLE.lines().count()));
            prop_assert!(!error.message.is_empty());
        }
    }
}
