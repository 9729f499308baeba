use oast_runtime::ClockMode;
use serde_json::Value;

use super::open;
use crate::{
    args::{self, Global},
    client::{Client, split_version},
    output::{self, Table, short},
};

/// `oast catalog`
pub(crate) fn catalog(global: &Global, args: &args::Catalog) -> anyhow::Result<()> {
    let answer = match &global.url {
        Some(url) => ask(&Client::new(url)?, args)?,
        None => read(global, args)?,
    };
    match args {
        args::Catalog::Show { .. } if !global.json => Ok(output::line(serde_json::to_string_pretty(&answer)?)?),
        _ if global.json => output::json(&answer),
        _ => print(&answer),
    }
}

fn ask(client: &Client, args: &args::Catalog) -> anyhow::Result<Value> {
    match args {
        args::Catalog::List => client.catalog_list(),
        args::Catalog::Show { name } => client.catalog_show(name),
        args::Catalog::History { name } => client.catalog_history(name),
    }
}

fn read(global: &Global, args: &args::Catalog) -> anyhow::Result<Value> {
    let runtime = open(&global.data, ClockMode::Wall)?;
    Ok(match args {
        args::Catalog::List => serde_json::to_value(runtime.catalog_list()?)?,
        args::Catalog::History { name } => serde_json::to_value(runtime.catalog_history(name)?)?,
        args::Catalog::Show { name } => {
            let (name, hash) = split_version(name);
            runtime.catalog_show(name, hash)?
        }
    })
}

fn print(entries: &Value) -> anyhow::Result<()> {
    let mut table = Table::new(&["kind", "name", "version", "semantic version", "published"]);
    for entry in entries.as_array().into_iter().flatten() {
        let text = |name: &str| entry[name].as_str().unwrap_or("");
        let published = super::lookup::shown(&entry["published_at"]);
        table.row([text("kind"), text("name"), short(text("hash")), text("semantic_version"), &published]);
    }
    Ok(table.print()?)
}
