//! What is said of wrong sources and of wrong checks in them.

use super::check;

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
