//! What is said of wrong definitions, word for word.

use super::*;

mod services;
mod sources;
mod views;

/// Checks all that is said of the sample with these texts in it replaced.
fn check(edits: &[(&str, &str)], expect: &str) {
    let said = parse(&edited(edits)).map(|_| "nothing".to_owned()).unwrap_or_else(|errors| errors.to_string());
    assert_eq!(said, expect.trim(), "{edits:?}");
}

#[test]
fn errors_in_syntax() {
    check(
        &[(r#"keys = { tailnum = "utf8" }"#, r#"keys = { tailnum = "utf8""#)],
        r##"
oast.toml:17:1: missing comma between key-value pairs, expected `,`
  hint: separate the items by commas, and close the bracket or brace before this place
"##,
    );
    check(
        &[("[view.plane_latest]", "[view.carrier_delay]")],
        r##"
oast.toml:40:7: duplicate key
  hint: remove or rename one of the two
"##,
    );
    check(
        &[(r#"ttl = "30d""#, "ttl = 30d")],
        r##"
oast.toml:25:7: string values must be quoted, expected literal string
  hint: put the value in quotes: `"30d"`
"##,
    );
    check(
        &[("max = 3000", "max = 3000\nmax = 4000")],
        r##"
oast.toml:14:1: duplicate key
  hint: remove or rename one of the two
"##,
    );
}

#[test]
fn errors_in_keys_and_types_of_values() {
    check(
        &[(r#"windows = ["1h""#, r#"windws = ["1h""#)],
        r##"
oast.toml:30:1: unknown key `windws` in an aggregate of view `carrier_delay`
  hint: did you mean `windows`?
"##,
    );
    check(
        &[("[source.planes]", "[sources.planes]")],
        r##"
oast.toml:15:2: unknown key `sources` in a definition
  hint: did you mean `source`?
"##,
    );
    check(
        &[("idempotency_key", "dedup")],
        r##"
oast.toml:6:1: unknown key `dedup` in source `departures`
  hint: the keys are `keys`, `event_time`, `available_time`, `idempotency_key`, `fields`, `retention`, `max_future`, `check`
"##,
    );
    check(
        &[(r#"retention = "400d""#, "retention = 400")],
        r##"
oast.toml:8:13: `retention` is an integer, expected a string
  hint: for example `retention = "400d"`
"##,
    );
    check(
        &[("event_time = \"dep_time\"\n", "")],
        r##"
oast.toml:2:1: source `departures` has no `event_time`
  hint: add it, for example `event_time = "dep_time"`
"##,
    );
    check(
        &[(r#"keys = { tailnum = "utf8" }"#, r#"keys = ["tailnum"]"#)],
        r##"
oast.toml:16:8: `keys` is an array, expected a table
  hint: for example `keys = { carrier = "utf8" }`
"##,
    );
    check(
        &[(r#"entity = ["carrier"]"#, r#"entity = "carrier""#)],
        r##"
oast.toml:23:10: `entity` is a string, expected an array
  hint: for example `entity = ["carrier"]`
"##,
    );
    check(
        &[(r#"latest = ["model", "seats"]"#, r#"latest = ["model", 5]"#)],
        r##"
oast.toml:43:20: an item of `latest` is an integer, expected a string
  hint: for example `latest = ["model", "seats"]`
"##,
    );
    check(
        &[("[[source.departures.check]]", "[source.departures.check]")],
        r##"
oast.toml:10:1: `check` is a table, expected an array
  hint: for example `[[source.departures.check]]`
"##,
    );
    check(
        &[("[service.delay_model]", "[service]\nx = 1\n[service.delay_model]")],
        r##"
oast.toml:47:5: `x` is an integer, expected a table
  hint: for example `[service.delay_model]`
"##,
    );
    check(
        &[("\n[source.departures]", "include = [1, \"a\", \"a\"]\n[source.departures]")],
        r##"
oast.toml:1:12: an item of `include` is an integer, expected a string
  hint: for example `include = ["features/*.toml"]`
"##,
    );
}

#[test]
fn errors_in_the_outermost_keys() {
    check(
        &[("[source.planes]", "[[source.planes]]")],
        r##"
oast.toml:15:1: `planes` is an array, expected a table
  hint: for example `[source.departures]`
"##,
    );
    check(
        &[
            ("[service.delay_model]\nfeatures", "[servce.x]\n[service.delay_model]\nfeatures"),
            (r#"source = "planes""#, r#"source = "nothing""#),
        ],
        r##"
oast.toml:46:2: unknown key `servce` in a definition
  hint: did you mean `service`?
"##,
    );
    check(
        &[
            ("\n[source.departures]", "source = 5\n[sorce.departures]"),
            ("[[source.dep", "[[sorce.dep"),
            ("[source.planes]", "[sorce.planes]"),
        ],
        r##"
oast.toml:1:10: `source` is an integer, expected a table
  hint: for example `[source.departures]`
oast.toml:2:2: unknown key `sorce` in a definition
  hint: did you mean `source`?
"##,
    );
}

#[test]
fn errors_in_names() {
    check(
        &[("[source.planes]", "[source.Planes]"), (r#"source = "planes""#, r#"source = "Planes""#)],
        r##"
oast.toml:15:9: `Planes` cannot name a source
  hint: lower-case letters, digits and `_` can, for example `planes`
"##,
    );
    check(
        &[("[view.plane_latest]", "[view.plane__latest_]"), ("plane_latest:seats", "plane__latest_:seats")],
        r##"
oast.toml:40:7: `plane__latest_` cannot name a view, since `__` parts a view from its feature in a dataset
  hint: use one `_` at a time and none at the end: `plane_latest`
"##,
    );
    check(
        &[
            ("[service.delay_model]", r#"[service."2 models"]"#),
            ("[[service.delay_model.derive]]", r#"[[service."2 models".derive]]"#),
            ("[[service.delay_model.derive]]", r#"[[service."2 models".derive]]"#),
        ],
        r##"
oast.toml:46:10: `2 models` cannot name a service
  hint: lower-case letters, digits and `_` can, for example `_2_models`
"##,
    );
    check(
        &[(r#"dest = "utf8""#, r#""de st" = "utf8""#), (r#"input = ["dest"]"#, r#"input = ["distance"]"#)],
        r##"
oast.toml:7:32: `de st` cannot name a column
  hint: letters, digits and `_` can, for example `de_st`
"##,
    );
    check(
        &[(r#"dest = "utf8""#, r#"event_time = "timestamp""#), (r#"input = ["dest"]"#, r#"input = ["distance"]"#)],
        r##"
oast.toml:7:32: only the event time can be called `event_time`
  hint: rename the column, or make it the event time, which is `dep_time`
"##,
    );
    check(
        &[(r#"name = "dests""#, r#"name = "Dests""#)],
        r##"
oast.toml:38:8: `Dests` cannot name an aggregate
  hint: lower-case letters, digits and `_` can, for example `dests`
"##,
    );
}

#[test]
fn errors_in_plugins() {
    check(
        &[
            (r#"plugin = "fill""#, r#"plugin = "Fill""#),
            (r#"plugin = "moments""#, r#"plugin = "moments@1.2""#),
            (
                r#"plugin = "distinct@1.2.0""#,
                r#"plugin = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA""#,
            ),
        ],
        r##"
oast.toml:24:26: `Fill` names no plugin
  hint: write a name in lower case with hyphens (`one-hot`), a name and version (`one-hot@1.2.0`) or a component hash
oast.toml:28:10: `1.2` is not an exact version
  hint: write all three numbers, for example `moments@1.2.0`, or `moments` alone to pin the newest
oast.toml:34:10: a component hash is written in lower case
  hint: write `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`
"##,
    );
    check(
        &[(r#"plugin = "fill", "#, "")],
        r##"
oast.toml:24:15: a transform of view `carrier_delay` has no `plugin`
  hint: add it, for example `plugin = "fill"`
"##,
    );
    check(
        &[("params = { dep_delay = 0.0 }", "params = [1]")],
        r##"
oast.toml:24:43: `params` is an array, expected a table
  hint: for example `params = { dep_delay = 0.0 }`
"##,
    );
    check(
        &[("params = { dep_delay = 0.0 }", "params = { a = [inf], b = { c = -nan }, d = 9223372036854775808 }")],
        r##"
oast.toml:24:50: `a` is inf, which is not a finite number
  hint: write a number that a float64 can hold, or leave the key out
oast.toml:24:66: `c` is -nan, which is not a finite number
  hint: write a number that a float64 can hold, or leave the key out
oast.toml:24:78: 9223372036854775808 does not fit 64 bits
  hint: write a number from -9223372036854775808 to 9223372036854775807, or a float
"##,
    );
}

#[test]
fn one_error_does_not_cause_others() {
    check(
        &[(r#"keys = { carrier = "utf8", origin = "utf8" }"#, r#"keys = { carrier = "txt", origin = "utf8" }"#)],
        r##"
oast.toml:3:20: `txt` is not a type
  hint: the types are `bool`, `int64`, `float64`, `utf8`, `binary`, `timestamp`, `vector[N]`; a `?` at the end allows null
"##,
    );
    check(
        &[(r#"windows = ["1h", "24h", "7d"]"#, r#"windows = ["one hour"]"#)],
        r##"
oast.toml:30:12: `one hour` is not a window
  hint: write a whole number and a unit (us, ms, s, m, h or d), for example `24h`; or `lifetime`, `last_10`, `session_30m`
"##,
    );
    check(
        &[(r#"request = { distance = "float64", age = "int64?" }"#, "request = 5")],
        r##"
oast.toml:48:11: `request` is an integer, expected a table
  hint: for example `request = { distance = "float64" }`
"##,
    );
    check(
        &[
            (r#"latest = ["model", "seats"]"#, r#"latst = ["model", "seats"]"#),
            (r#"source = "departures""#, r#"sources = "departures""#),
        ],
        r##"
oast.toml:22:1: unknown key `sources` in view `carrier_delay`
  hint: did you mean `source`?
oast.toml:43:1: unknown key `latst` in view `plane_latest`
  hint: did you mean `latest`?
"##,
    );
}
