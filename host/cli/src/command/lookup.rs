use std::{collections::BTreeMap, io::IsTerminal};

use oast_runtime::{ClockMode, ExplainedValue, Explanation, LookupRequest, LookupResponse, Runtime, write_whole};
use serde_json::{Map, Value, json};

use super::open;
use crate::{
    args::{self, Global},
    client::Client,
    output::{self, Table, short, style, thousands},
    report::Failure,
};

/// Where the answer comes from.
enum Place {
    Daemon(Client),
    Folder(Box<Runtime>),
}

/// `oast lookup`
pub(crate) fn lookup(global: &Global, args: &args::Lookup) -> anyhow::Result<()> {
    let clock = if args.at.is_some() { ClockMode::Simulated } else { ClockMode::Wall };
    let place = match &global.url {
        Some(url) => Place::Daemon(Client::new(url)?),
        None => Place::Folder(Box::new(open(&global.data, clock)?)),
    };
    let types = match place.types(&args.service) {
        Ok(types) => types,
        Err(error) => {
            // Asking for a service that is not there says so better than looking for its record does.
            place.lookup(json!({"service": args.service, "entities": [{}]}))?;
            return Err(error);
        }
    };
    let mut request = json!({
        "service": args.service,
        "entities": [typed(&args.keys, &types)?],
        "request": [typed(&args.request, &types)?],
        "receipt": args.receipt || args.save.is_some(),
    });
    if let Some(at) = &args.at {
        request["at"] = json!(at);
    }
    if args.explain {
        return explain(global, &place, request);
    }
    let response = place.lookup(request)?;
    refuse_rejected(&response)?;
    if let Some(path) = &args.save {
        write_whole(path, serde_json::to_string(&response)?.as_bytes())?;
    }
    if global.json { output::json(&response) } else { print(&response, args.receipt) }
}

impl Place {
    fn lookup(&self, request: Value) -> anyhow::Result<LookupResponse> {
        match self {
            Self::Daemon(client) => client.lookup(&request),
            Self::Folder(runtime) => Ok(runtime.lookup(&serde_json::from_value::<LookupRequest>(request)?)?),
        }
    }

    fn explain(&self, request: Value) -> anyhow::Result<Explanation> {
        match self {
            Self::Daemon(client) => client.explain(&request),
            Self::Folder(runtime) => Ok(runtime.explain(&serde_json::from_value::<LookupRequest>(request)?)?),
        }
    }

    fn show(&self, name: &str, hash: Option<&str>) -> anyhow::Result<Value> {
        match (self, hash) {
            (Self::Daemon(client), Some(hash)) => client.catalog_show(&format!("{name}@{hash}")),
            (Self::Daemon(client), None) => client.catalog_show(name),
            (Self::Folder(runtime), hash) => Ok(runtime.catalog_show(name, hash)?),
        }
    }

    /// The types of the service's join keys and request fields, which arguments alone do not tell.
    fn types(&self, service: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let shown = self.show(service, None)?;
        let mut types = BTreeMap::new();
        collect_types(&shown, &mut types);
        for view in views_of(&shown) {
            collect_types(&self.show(&view.0, Some(&view.1))?, &mut types);
        }
        Ok(types)
    }
}

/// The views that a service pins, by name and version.
fn views_of(service: &Value) -> Vec<(String, String)> {
    let record = service.get("definition").unwrap_or(service);
    let views = record["views"].as_array().into_iter().flatten();
    views.filter_map(|view| Some((view["name"].as_str()?.to_owned(), view["version"].as_str()?.to_owned()))).collect()
}

/// Every `{"name", "type"}` in a record. The columns of one source and the fields of one request have different names.
fn collect_types(record: &Value, types: &mut BTreeMap<String, String>) {
    match record {
        Value::Array(items) => items.iter().for_each(|item| collect_types(item, types)),
        Value::Object(fields) => {
            if let (Some(Value::String(name)), Some(Value::String(data_type))) =
                (fields.get("name"), fields.get("type"))
            {
                types.insert(name.clone(), data_type.clone());
            }
            fields.values().for_each(|value| collect_types(value, types));
        }
        _ => {}
    }
}

/// Arguments as JSON values of the declared types. What is not declared stays text, and the lookup says what is wrong.
fn typed(assignments: &[(String, String)], types: &BTreeMap<String, String>) -> Result<Map<String, Value>, Failure> {
    let value = |(name, text): &(String, String)| {
        let data_type = types.get(name).map_or("utf8", String::as_str);
        let value = match data_type.trim_end_matches('?') {
            "int64" | "float64" | "bool" => serde_json::from_str(text).ok().or_else(|| non_finite(text)),
            data_type if data_type.starts_with("vector") => serde_json::from_str(text).ok(),
            _ => Some(Value::from(text.as_str())),
        };
        let value = value.ok_or_else(|| {
            Failure::input(
                format!("`{name}={text}` is not of the type {data_type}"),
                format!("for example `{name}={}`", example(data_type)),
            )
        })?;
        Ok((name.clone(), value))
    };
    assignments.iter().map(value).collect()
}

/// A text that is of a type.
fn example(data_type: &str) -> &'static str {
    match data_type.trim_end_matches('?') {
        "int64" => "3",
        "float64" => "1.5",
        "bool" => "true",
        _ => "[0.5,1.0]",
    }
}

fn non_finite(text: &str) -> Option<Value> {
    matches!(text, "NaN" | "Infinity" | "-Infinity").then(|| Value::from(text))
}

/// What each value comes from, a line each; everything else with --json.
fn explain(global: &Global, place: &Place, request: Value) -> anyhow::Result<()> {
    let explanation = place.explain(request)?;
    refuse_rejected(&explanation.response)?;
    if global.json {
        return output::json(&explanation);
    }
    print_head(&explanation.response)?;
    let head = ["feature", "value", "status", "plugin", "component", "window from", "blocks", "events", "fuel"];
    let mut table = Table::new(&head).right(&[1, 6, 7, 8]);
    for value in explanation.rows.iter().flatten() {
        table.row(explained(value));
    }
    table.print()?;
    for value in explanation.rows.iter().flatten() {
        if let Some(failure) = &value.failure {
            output::line(format_args!("{}: {failure}", value.feature))?;
        }
    }
    Ok(())
}

fn explained(value: &ExplainedValue) -> [String; 9] {
    let plugin = value.plugin.as_ref();
    let window = value.window.as_ref();
    let of = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        value.feature.clone(),
        shown(&value.value),
        value.status.clone(),
        of(plugin.map(|plugin| format!("{} {}", plugin.plugin, plugin.version))),
        of(plugin.map(|plugin| short(&plugin.component.to_string()).to_owned())),
        of(window.map(|window| window.from.clone().unwrap_or_else(|| "the beginning".to_owned()))),
        of(window.map(|window| thousands(window.blocks.len() as u64))),
        of(value.events.as_ref().map(|events| thousands(events.count))),
        of(value.fuel.map(|fuel| thousands(fuel.0))),
    ]
}

/// One entity was asked for, so an answer without its values is an error.
fn refuse_rejected(response: &LookupResponse) -> Result<(), Failure> {
    match response.rows.iter().find_map(|row| row.error.as_ref()) {
        None => Ok(()),
        Some(error) => {
            let hint = "see `oast catalog show` for join keys and request fields";
            Err(Failure::input(error.message.clone(), hint))
        }
    }
}

fn print_head(response: &LookupResponse) -> Result<(), output::StdoutError> {
    let dim = style::DIM;
    let LookupResponse { service, time, version, offset, .. } = response;
    let version = version.to_string();
    output::line(format_args!("{dim}{service} at {time} (version {}, offset {offset}){dim:#}", short(&version)))
}

fn print(response: &LookupResponse, with_receipt: bool) -> anyhow::Result<()> {
    print_head(response)?;
    let mut table = Table::new(&["feature", "value", "status"]).right(&[1]);
    for row in &response.rows {
        for ((feature, value), status) in response.features.iter().zip(&row.values).zip(&row.status) {
            table.row([feature.clone(), shown(value), serde_json::to_value(status)?.as_str().unwrap_or("").to_owned()]);
        }
    }
    table.print()?;
    if let Some(receipt) = response.receipt.as_ref().filter(|_| with_receipt) {
        let text = match std::io::stdout().is_terminal() {
            true => serde_json::to_string_pretty(receipt)?,
            false => serde_json::to_string(receipt)?,
        };
        output::line(format_args!("receipt {text}"))?;
    }
    Ok(())
}

/// A value as a cell of a table; a string without its quotes.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_take_the_declared_types() {
        let record = json!({"definition": {
            "request": [{"name": "distance", "type": "float64"}],
            "source": {"name": "planes", "columns": [{"name": "tailnum", "type": "utf8"}, {"name": "seats", "type": "int64?"}]},
        }});
        let mut types = BTreeMap::new();
        collect_types(&record, &mut types);
        let check = |name: &str, text: &str, expect: Option<Value>| {
            let found = typed(&[(name.to_owned(), text.to_owned())], &types).ok();
            assert_eq!(found.map(|map| map[name].clone()), expect, "{name}={text}");
        };
        check("distance", "733", Some(json!(733)));
        check("distance", "NaN", Some(json!("NaN")));
        check("distance", "far", None);
        check("tailnum", "1234", Some(json!("1234")));
        check("seats", "180", Some(json!(180)));
        check("nobody", "7", Some(json!("7")));
    }
}
