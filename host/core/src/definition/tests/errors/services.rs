//! What is said of wrong services.

use super::check;

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
