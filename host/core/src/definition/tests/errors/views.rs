//! What is said of wrong views and of wrong aggregates in them.

use super::check;

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
