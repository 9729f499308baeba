//! What is said of wrong definitions, word for word.

use super::*;

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
fn errors_in_sources() {
    check(
        &[
            (r#""float64?""#, r#""float32?""#),
            (r#"dest = "utf8""#, r#"dest = "string""#),
            (r#""float64""#, r#""flot64""#),
            (r#""vector[4]?""#, r#""vector[0]?""#),
        ],
        r##"
oast.toml:7:39: `string` is not a type
  hint: write `utf8`
oast.toml:7:60: `flot64` is not a type
  hint: write `float64`
oast.toml:7:82: `float32?` is not a type
  hint: write `float64?`
oast.toml:18:55: `vector[0]?` is not a type
  hint: write `vector[384]?`
"##,
    );
    check(
        &[(r#"carrier = "utf8""#, r#"carrier = "float64""#), (r#"origin = "utf8""#, r#"origin = "utf8?""#)],
        r##"
oast.toml:3:10: join key `carrier` is float64, which cannot be a key
  hint: make it bool, int64, utf8, binary or timestamp
oast.toml:3:31: join key `origin` is nullable
  hint: write `origin = "utf8"`
"##,
    );
    check(
        &[(r#"keys = { tailnum = "utf8" }"#, "keys = {}")],
        r##"
oast.toml:16:8: a source needs at least one join key
  hint: for example `keys = { carrier = "utf8" }`
"##,
    );
    check(
        &[(r#"dest = "utf8""#, r#"carrier = "utf8""#)],
        r##"
oast.toml:7:32: column `carrier` is declared in both `keys` and `fields`
  hint: leave it in `keys` only: every key is a column
"##,
    );
    check(
        &[(r#"dest = "utf8""#, r#"dep_time = "timestamp?""#)],
        r##"
oast.toml:4:14: time column `dep_time` is declared as timestamp?
  hint: declare it as `dep_time = "timestamp"`, or leave it out of `fields`
"##,
    );
    check(
        &[(r#"idempotency_key = "flight_id""#, r#"idempotency_key = "uid""#)],
        r##"
oast.toml:6:19: idempotency key `uid` is not a column of the source
  hint: add it to the fields: `fields = { uid = "utf8" }`
"##,
    );
    check(
        &[(r#"idempotency_key = "flight_id""#, r#"idempotency_key = "dep_delay""#)],
        r##"
oast.toml:6:19: idempotency key `dep_delay` is float64?
  hint: make it bool, int64, utf8, binary or timestamp, and not nullable
"##,
    );
    check(
        &[(r#"retention = "400d""#, r#"retention = "0d""#), (r#"max_future = "0s""#, r#"max_future = "1 minute""#)],
        r##"
oast.toml:8:13: `retention` is zero
  hint: for example `retention = "400d"`
oast.toml:19:14: `1 minute` is not a time span
  hint: write a whole number and a unit (us, ms, s, m, h or d), for example `max_future = "1d"`
"##,
    );
}

#[test]
fn errors_in_checks_of_sources() {
    check(
        &[(r#"field = "dep_delay""#, r#"field = "dep_dealy""#)],
        r##"
oast.toml:11:9: `dep_dealy` is not a column of source `departures`
  hint: did you mean `dep_delay`?
"##,
    );
    check(
        &[("field = \"dep_delay\"\n", "")],
        r##"
oast.toml:10:1: a check of source `departures` has no `field`
  hint: add it, for example `field = "dep_delay"`
"##,
    );
    check(
        &[("min = -120.0\nmax = 3000", "")],
        r##"
oast.toml:10:1: the check of `dep_delay` checks nothing
  hint: add `min`, `max` or `one_of`
"##,
    );
    check(
        &[("min = -120.0", r#"min = "low""#)],
        r##"
oast.toml:12:7: `min` is a string, expected a float
  hint: for example `min = -120.0`
"##,
    );
    check(
        &[("min = -120.0", "min = nan"), ("max = 3000", "max = 1e999")],
        r##"
oast.toml:12:7: `min` is nan, which is not a finite number
  hint: write a number that a float64 can hold, or leave the key out
oast.toml:13:7: `max` is 1e999, which is not a finite number
  hint: write a number that a float64 can hold, or leave the key out
"##,
    );
    check(
        &[("min = -120.0", "min = 3000.5")],
        r##"
oast.toml:10:1: no value of `dep_delay` can pass: `min` is above `max`
  hint: exchange the two
"##,
    );
    check(
        &[(r#"field = "dep_delay""#, r#"field = "carrier""#)],
        r##"
oast.toml:12:7: `min` does not apply to `carrier`, which is utf8
  hint: only int64, float64 and timestamp have bounds; `one_of` lists values
oast.toml:13:7: `max` does not apply to `carrier`, which is utf8
  hint: only int64, float64 and timestamp have bounds; `one_of` lists values
"##,
    );
    check(
        &[(
            "field = \"dep_delay\"\nmin = -120.0\nmax = 3000",
            "field = \"dep_time\"\nmin = 07:00:00\nmax = \"tomorrow\"",
        )],
        r##"
oast.toml:12:7: `07:00:00` is not a time
  hint: write RFC 3339, for example `2013-01-01T05:00:00Z`
oast.toml:13:7: `tomorrow` is not a time
  hint: write RFC 3339, for example `2013-01-01T05:00:00Z`
"##,
    );
    check(
        &[("field = \"dep_delay\"\nmin = -120.0\nmax = 3000", "field = \"carrier\"\none_of = []")],
        r##"
oast.toml:12:10: no value can pass: `one_of` is empty
  hint: for example `one_of = ["AA", "UA"]`
"##,
    );
    check(
        &[("field = \"dep_delay\"\nmin = -120.0\nmax = 3000", "field = \"carrier\"\none_of = [\"AA\", 1]")],
        r##"
oast.toml:12:17: an item of `one_of` is an integer, expected a string
  hint: for example `one_of = ["AA", "UA"]`
"##,
    );
    check(
        &[(
            r#"seats = "int64?""#,
            "seats = \"int64?\" }\n[[source.planes.check]]\nfield = \"seats\"\nmax = 9223372036854775808\n[[source.planes.check]]\nfield = \"photo\"\none_of = [1]\n[source.x]\nkeys = { a = \"utf8\" }\nevent_time = \"event_time\"\nfields = { model = \"utf8?\"",
        )],
        r##"
oast.toml:21:7: 9223372036854775808 does not fit 64 bits
  hint: write a number from -9223372036854775808 to 9223372036854775807, or a float
oast.toml:23:9: `photo` is not a column of source `planes`
  hint: the columns are `event_time`, `model`, `seats`, `tailnum`
"##,
    );
}

#[test]
fn errors_in_views() {
    check(
        &[(r#"source = "departures""#, r#"source = "departure""#)],
        r##"
oast.toml:22:10: source `departure` is not declared
  hint: did you mean `departures`?
"##,
    );
    check(
        &[("source = \"planes\"\n", "")],
        r##"
oast.toml:40:1: view `plane_latest` has no `source`
  hint: add it, for example `source = "departures"`
"##,
    );
    check(
        &[(r#"entity = ["carrier"]"#, r#"entity = ["carier", "dest"]"#)],
        r##"
oast.toml:23:11: `carier` is not a join key of source `departures`
  hint: did you mean `carrier`?
oast.toml:23:21: `dest` is not a join key of source `departures`
  hint: move the column from the source's fields to its keys: `keys = { dest = "utf8" }`
"##,
    );
    check(
        &[(r#"entity = ["carrier"]"#, "entity = []")],
        r##"
oast.toml:23:10: `entity` is empty
  hint: for example `entity = ["carrier"]`
"##,
    );
    check(
        &[(r#"entity = ["carrier"]"#, r#"entity = ["carrier", "carrier"]"#)],
        r##"
oast.toml:23:22: `carrier` stands twice in `entity`
  hint: remove one of the two
"##,
    );
    check(
        &[(r#"ttl = "30d""#, r#"ttl = "lifetime""#)],
        r##"
oast.toml:25:7: `lifetime` is not a time span
  hint: write a whole number and a unit (us, ms, s, m, h or d), for example `ttl = "30d"`
"##,
    );
    check(
        &[("latest = [\"model\", \"seats\"]\n", "")],
        r##"
oast.toml:40:1: view `plane_latest` computes nothing
  hint: add `[[view.plane_latest.aggregate]]`, or `latest = ["…"]` for columns of the last row
"##,
    );
    check(
        &[(r#"ttl = "30d""#, "ttl = \"30d\"\nlatest = [\"dest\"]")],
        r##"
oast.toml:26:10: view `carrier_delay` has both `aggregate` and `latest`
  hint: make two views of it, one for each
"##,
    );
    check(
        &[(r#"latest = ["model", "seats"]"#, r#"latest = ["model", "seat"]"#)],
        r##"
oast.toml:43:20: view `plane_latest` has no column `seat`
  hint: did you mean `seats`?
"##,
    );
    check(
        &[(
            r#"transform = [ { plugin = "fill", params = { dep_delay = 0.0 } } ]"#,
            r#"transform = [ { plugin = "a", input = ["delay"], output = ["event_time"] } ]"#,
        )],
        r##"
oast.toml:24:60: only the event time of a source can be called `event_time`
  hint: give the column another name
"##,
    );
    check(
        &[
            (
                r#"transform = [ { plugin = "fill", params = { dep_delay = 0.0 } } ]"#,
                r#"transform = [ { plugin = "a", output = ["late"] } ]"#,
            ),
            (r#"input = ["dep_delay"]"#, r#"input = ["lat"]"#),
            (r#"outputs = ["count""#, "name = \"dep_delay\"\noutputs = [\"count\""),
        ],
        r##"
oast.toml:29:10: view `carrier_delay` has no column `lat`
  hint: did you mean `late`?
"##,
    );
}

#[test]
fn errors_in_aggregates() {
    check(
        &[(r#"input = ["dest"]"#, r#"inputs = ["dest"]"#)],
        r##"
oast.toml:35:1: unknown key `inputs` in an aggregate of view `carrier_delay`
  hint: did you mean `input`?
"##,
    );
    check(
        &[(r#"input = ["dest"]"#, "input = []"), (r#"name = "dests""#, "")],
        r##"
oast.toml:33:1: an aggregate without input has no name
  hint: add `name = "…"`
"##,
    );
    check(
        &[("windows = [\"1h\", \"24h\", \"7d\"]\n", "")],
        r##"
oast.toml:27:1: an aggregate of view `carrier_delay` has no `windows`
  hint: add it, for example `windows = ["1h", "24h", "7d"]`
"##,
    );
    check(
        &[(r#"windows = ["1h", "24h", "7d"]"#, "windows = []")],
        r##"
oast.toml:30:11: `windows` is empty
  hint: for example `windows = ["1h", "24h", "7d"]`
"##,
    );
    check(
        &[(r#"windows = ["1h", "24h", "7d"]"#, r#"windows = ["1h", "1d", "24h", "1 week", "0s", "1m"]"#)],
        r##"
oast.toml:30:31: `1 week` is not a window
  hint: write a whole number and a unit (us, ms, s, m, h or d), for example `24h`; or `lifetime`, `last_10`, `session_30m`
oast.toml:30:41: a window cannot be empty
  hint: write for example `24h`
oast.toml:30:47: window `1m` is shorter than its default hop `5m`
  hint: set `hop = "1m"` or shorter, or make the window longer
"##,
    );
    check(
        &[
            (r#"windows = ["1h", "24h", "7d"]"#, r#"windows = ["1h", "1d", "24h"]"#),
            ("dep_delay_mean_7d", "dep_delay_mean_1d"),
        ],
        r##"
oast.toml:30:24: `24h` is the same window as `1d`
  hint: remove one of the two
"##,
    );
    check(
        &[(r#"windows = ["lifetime", "90m"]"#, r#"windows = ["lifetime", "30s"]"#)],
        r##"
oast.toml:36:24: window `30s` is shorter than its hop `1m`
  hint: set `hop = "30s"` or shorter, or make the window longer
"##,
    );
    check(
        &[(r#"windows = ["lifetime", "90m"]"#, r#"windows = ["lifetime"]"#)],
        r##"
oast.toml:37:7: an aggregate of view `carrier_delay` has a hop and no window that moves in hops
  hint: remove `hop`, or add a window with a length, for example `24h`
"##,
    );
    check(
        &[(r#"windows = ["lifetime", "90m"]"#, r#"windows = ["last_10", "session_30m"]"#)],
        r##"
oast.toml:37:7: an aggregate of view `carrier_delay` has a hop and no window that moves in hops
  hint: remove `hop`, or add a window with a length, for example `24h`
"##,
    );
    check(
        &[(r#"windows = ["1h", "24h", "7d"]"#, r#"windows = ["last_0", "last_x", "last_", "last_+5", "last_1001"]"#)],
        r##"
oast.toml:30:12: `last_0` is not a window
  hint: write `last_` and how many events, from 1 to 1000, for example `last_10`
oast.toml:30:22: `last_x` is not a window
  hint: write `last_` and how many events, from 1 to 1000, for example `last_10`
oast.toml:30:32: `last_` is not a window
  hint: write `last_` and how many events, from 1 to 1000, for example `last_10`
oast.toml:30:41: `last_+5` is not a window
  hint: write `last_` and how many events, from 1 to 1000, for example `last_10`
oast.toml:30:52: `last_1001` is not a window
  hint: write `last_` and how many events, from 1 to 1000, for example `last_10`
"##,
    );
    check(
        &[(r#"windows = ["1h", "24h", "7d"]"#, r#"windows = ["session_", "session_0m", "session_long"]"#)],
        r##"
oast.toml:30:12: `session_` is not a window
  hint: write `session_` and the longest pause within a session, for example `session_30m`
oast.toml:30:24: `session_0m` is not a window
  hint: write `session_` and the longest pause within a session, for example `session_30m`
oast.toml:30:38: `session_long` is not a window
  hint: write `session_` and the longest pause within a session, for example `session_30m`
"##,
    );
    check(
        &[
            (r#"windows = ["1h", "24h", "7d"]"#, r#"windows = ["session_60m", "last_05", "session_1h", "last_5"]"#),
            ("dep_delay_mean_7d", "dep_delay_mean_last_5"),
        ],
        r##"
oast.toml:30:38: `session_1h` is the same window as `session_60m`
  hint: remove one of the two
oast.toml:30:52: `last_5` is the same window as `last_05`
  hint: remove one of the two
"##,
    );
    check(
        &[(r#"hop = "1m""#, r#"hop = "0m""#)],
        r##"
oast.toml:37:7: `hop` is zero
  hint: for example `hop = "5m"`
"##,
    );
    check(
        &[(r#"outputs = ["count", "mean", "stddev"]"#, "outputs = []")],
        r##"
oast.toml:31:11: `outputs` is empty
  hint: for example `outputs = ["count", "mean"]`
"##,
    );
    check(
        &[
            (r#"name = "dests""#, "name = \"dep_delay\"\noutputs = [\"mean\"]"),
            (r#"windows = ["lifetime", "90m"]"#, r#"windows = ["1h"]"#),
        ],
        r##"
oast.toml:33:1: feature `dep_delay_mean_1h` of view `carrier_delay` is made by an earlier aggregate too
  hint: give one of the two another `name`
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
fn errors_in_services() {
    check(
        &[(r#""carrier_delay:*""#, r#""carrier_delay""#)],
        r##"
oast.toml:47:13: `carrier_delay` is not a feature reference
  hint: write `carrier_delay:*` for all features of view `carrier_delay`, or `view:feature` for one
"##,
    );
    check(
        &[(r#""carrier_delay:*""#, r#""carrier_dealy:*""#)],
        r##"
oast.toml:47:13: view `carrier_dealy` is not declared
  hint: did you mean `carrier_delay`?
"##,
    );
    check(
        &[("plane_latest:seats", "plane_latest:seat")],
        r##"
oast.toml:47:32: view `plane_latest` has no feature `seat`
  hint: did you mean `seats`?
"##,
    );
    check(
        &[(
            r#""carrier_delay:*""#,
            r#""carrier_delay:dep_delay_mean_2h", "carrier_delay:dests_any_90m", "carrier_delay:dests_90m""#,
        )],
        r##"
oast.toml:47:13: view `carrier_delay` has no feature `dep_delay_mean_2h`
  hint: did you mean `dep_delay_mean_1h`?
oast.toml:47:79: view `carrier_delay` has no feature `dests_90m`
  hint: the features are `dep_delay_count_1h`, `dep_delay_count_24h`, `dep_delay_count_7d`, `dep_delay_mean_1h`, `dep_delay_mean_24h`, `dep_delay_mean_7d`, `dep_delay_stddev_1h`, `dep_delay_stddev_24h`, `dep_delay_stddev_7d`
"##,
    );
    check(
        &[("plane_latest:seats", "carrier_delay:dep_delay_mean_1h")],
        r##"
oast.toml:47:32: `carrier_delay:dep_delay_mean_1h` is already among `carrier_delay:*`
  hint: remove one of the two
"##,
    );
    check(
        &[("features = [\"carrier_delay:*\", \"plane_latest:seats\"]\n", "")],
        r##"
oast.toml:46:1: service `delay_model` has no `features`
  hint: add it, for example `features = ["carrier_delay:*", "plane_latest:seats"]`
"##,
    );
    check(
        &[(
            r#"request = { distance = "float64", age = "int64?" }"#,
            r#"request = { distance = "float64", carrier = "utf8", a__b = "bool", event_time = "timestamp" }"#,
        )],
        r##"
oast.toml:48:35: `carrier` is already a join key of view `carrier_delay`
  hint: give it another name
oast.toml:48:53: `a__b` could be taken for a feature, since `__` parts a view from its feature in a dataset
  hint: use one `_`: `a_b`
oast.toml:48:68: only the event time of a source can be called `event_time`
  hint: give the column another name
"##,
    );
    check(
        &[(
            r#"request = { distance = "float64", age = "int64?" }"#,
            r#"request = { distance = "float64", carrier = "utf8" }"#,
        )],
        r##"
oast.toml:48:35: `carrier` is already a join key of view `carrier_delay`
  hint: give it another name
"##,
    );
    check(
        &[
            (r#"keys = { tailnum = "utf8" }"#, r#"keys = { carrier = "int64" }"#),
            (r#"entity = ["tailnum"]"#, r#"entity = ["carrier"]"#),
        ],
        r##"
oast.toml:47:32: join key `carrier` is int64 in view `plane_latest` and utf8 in view `carrier_delay`
  hint: one lookup sends one value for both: make their sources agree
"##,
    );
    check(
        &[("output = [\"delay_trend\"]\n", "")],
        r##"
oast.toml:50:1: a derived transform of service `delay_model` has no `output`
  hint: add it, for example `output = ["delay_trend"]`
"##,
    );
    check(
        &[(r#"output = ["trend_per_mile"]"#, r#"output = ["delay_trend"]"#)],
        r##"
oast.toml:59:11: service `delay_model` already has a column `delay_trend`
  hint: give it another name
"##,
    );
    check(
        &[(r#"output = ["trend_per_mile"]"#, r#"output = ["x__y"]"#), (r#"output = ["delay_trend"]"#, "output = []")],
        r##"
oast.toml:53:10: `output` is empty
  hint: for example `output = ["delay_trend"]`
oast.toml:59:11: `x__y` could be taken for a feature, since `__` parts a view from its feature in a dataset
  hint: use one `_`: `x_y`
"##,
    );
    check(
        &[(
            r#"input = ["delay_trend", "distance"]"#,
            r#"input = ["delay_trnd", "trend_per_mile", "plane_latest:*", "plane_latest:model"]"#,
        )],
        r##"
oast.toml:58:10: `delay_trnd` is neither a request field nor derived before
  hint: did you mean `delay_trend`?
oast.toml:58:24: `trend_per_mile` is neither a request field nor derived before
  hint: write `view:feature` for a feature; the other inputs are `age`, `distance`, `delay_trend`
oast.toml:58:42: `plane_latest:*` is not one feature
  hint: an input is bound by position: name each feature
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
