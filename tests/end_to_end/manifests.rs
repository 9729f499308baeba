//! Manifests and the JSON schema that is published for them.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use oast_runtime::{ClockMode, ReplayOptions, manifest_path};
use serde_json::Value as Json;

use crate::{
    flights::{DEFINITION, departures, spine},
    support::{Setup, repository},
};

/// Holds a value to a schema, of which it knows the keywords that ours is written in and no others.
fn holds(schema: &Json, whole: &Json, value: &Json, path: &str) -> anyhow::Result<()> {
    for (keyword, wanted) in schema.as_object().context("a schema is an object")? {
        match keyword.as_str() {
            "$schema" | "$id" | "$defs" | "title" | "description" | "additionalProperties" => {}
            "$ref" => {
                let name = wanted.as_str().and_then(|name| name.strip_prefix('#')).context("a reference is local")?;
                holds(whole.pointer(name).context("a reference leads somewhere")?, whole, value, path)?;
            }
            "type" => ensure!(is_of(wanted, value), "{path} is not {wanted}: {value}"),
            "const" => ensure!(wanted == value, "{path} is not {wanted}"),
            "pattern" => ensure!(fits(wanted, value)?, "{path} is not like {wanted}: {value}"),
            "minimum" => {
                ensure!(value.as_f64().is_none_or(|value| Some(value) >= wanted.as_f64()), "{path} is below {wanted}")
            }
            "minItems" => ensure!(length(value) >= wanted.as_u64(), "{path} is too short"),
            "maxItems" => ensure!(length(value) <= wanted.as_u64(), "{path} is too long"),
            "required" => {
                let missing = names(wanted).find(|name| value.get(name).is_none());
                ensure!(missing.is_none(), "{path} has no {missing:?}");
            }
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    holds(wanted, whole, item, &format!("{path}[{at}]"))?;
                }
            }
            "oneOf" => {
                let fitting = wanted.as_array().into_iter().flatten();
                let fitting = fitting.filter(|each| holds(each, whole, value, path).is_ok()).count();
                ensure!(fitting == 1, "{path} fits {fitting} of {wanted}");
            }
            "properties" => properties(schema, whole, value, path)?,
            other => bail!("the schema uses `{other}`, which this test does not know"),
        }
    }
    Ok(())
}

fn properties(schema: &Json, whole: &Json, value: &Json, path: &str) -> anyhow::Result<()> {
    for (name, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(property), _) => holds(property, whole, value, &path)?,
            (None, Json::Object(_)) => holds(&schema["additionalProperties"], whole, value, &path)?,
            (None, _) => bail!("{path} is not in the schema"),
        }
    }
    Ok(())
}

fn is_of(wanted: &Json, value: &Json) -> bool {
    match wanted.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("null") => value.is_null(),
        _ => false,
    }
}

/// The two patterns of the schema: hashes, and types.
fn fits(pattern: &Json, value: &Json) -> anyhow::Result<bool> {
    let text = value.as_str().unwrap_or_default();
    match pattern.as_str() {
        Some("^[0-9a-f]{64}$") => {
            Ok(text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)))
        }
        Some(pattern) if pattern.starts_with("^(bool|") => {
            let data_type = text.strip_suffix('?').unwrap_or(text);
            Ok(data_type.parse::<oast_runtime::DataType>().is_ok())
        }
        _ => bail!("the schema has a pattern that this test does not know"),
    }
}

fn length(value: &Json) -> Option<u64> {
    value.as_array().map(|items| items.len() as u64)
}

fn names(list: &Json) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Json::as_str)
}

fn read(path: &PathBuf) -> anyhow::Result<Json> {
    Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
}

#[test]
fn manifests_are_what_the_published_schema_says() -> anyhow::Result<()> {
    let schema = read(&repository("docs/manifest.schema.json"))?;
    let setup = Setup::new()?;
    let runtime = setup.publish(ClockMode::Wall, DEFINITION)?;
    runtime.ingest_file("departures", &departures(), None, &())?;
    let mut manifests = Vec::new();
    for (name, events) in [("snapshot", vec![("departures".to_owned(), departures())]), ("log", Vec::new())] {
        let options = ReplayOptions {
            service: "delay_model".to_owned(),
            spine: spine(),
            out: setup.path(name).with_extension("parquet"),
            events,
            metadata: [("label".to_owned(), "arr_delay".to_owned())].into(),
            ..ReplayOptions::default()
        };
        runtime.replay(&options, &())?;
        let manifest = read(&manifest_path(&options.out))?;
        holds(&schema, &schema, &manifest, name)?;
        manifests.push(manifest);
    }

    // The check can fail: a field that is missing, one that nobody knows, one of another type, a hash that is too short.
    let spoilt = |edit: &dyn Fn(&mut Json)| {
        let mut manifest = manifests[1].clone();
        edit(&mut manifest);
        holds(&schema, &schema, &manifest, "manifest").map_err(|error| error.to_string()).err()
    };
    let spine_rows = |manifest: &mut Json| _ = manifest["spine"].as_object_mut().map(|spine| spine.remove("rows"));
    assert_eq!(spoilt(&spine_rows).as_deref(), Some("manifest.spine has no Some(\"rows\")"));
    let unknown = |manifest: &mut Json| manifest["engine"]["wasmtime"] = Json::from("48");
    assert_eq!(spoilt(&unknown).as_deref(), Some("manifest.engine.wasmtime is not in the schema"));
    let text = |manifest: &mut Json| manifest["features"][3]["nulls"] = Json::from("7");
    assert_eq!(spoilt(&text).as_deref(), Some("manifest.features[3].nulls is not \"integer\": \"7\""));
    let short = |manifest: &mut Json| manifest["dataset"]["hash"] = Json::from("ff19");
    assert!(spoilt(&short).is_some_and(|error| error.starts_with("manifest.dataset.hash is not like")));
    Ok(())
}
