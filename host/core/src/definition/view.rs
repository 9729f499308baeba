use std::collections::{BTreeMap, BTreeSet};

use super::{
    PluginUse, Source, View, ViewFeatures, aggregate, names,
    plugin::{self, owned},
    reader::{Checked, Keys, Node, Table, Text, all},
};

pub(super) const KEYS: Keys = &[
    ("source", "source = \"departures\""),
    ("entity", "entity = [\"carrier\"]"),
    ("transform", "transform = [ { plugin = \"fill\", params = { dep_delay = 0.0 } } ]"),
    ("ttl", "ttl = \"30d\""),
    ("latest", "latest = [\"model\", \"seats\"]"),
    ("aggregate", "[[view.carrier_delay.aggregate]]"),
];

const TRANSFORM_KEYS: Keys = &[
    ("plugin", "plugin = \"fill\""),
    ("params", "params = { dep_delay = 0.0 }"),
    ("input", "input = [\"dep_delay\"]"),
    ("output", "output = [\"dep_delay_filled\"]"),
];

/// The sources that were declared, those with errors included, by name.
pub(super) type Sources = BTreeMap<String, Checked<Source>>;

/// Reads and checks a view.
pub(super) fn read(name: Text<'_>, table: &Table<'_>, sources: &Sources) -> Checked<View> {
    let checked_name = names::check_view_name(name);
    let source = table.required("source", |node| source(node, sources));
    let entity = table.required("entity", Node::some_texts);
    let ttl = table.optional("ttl", Node::some_time_span);
    let known = source.and_then(|name| sources[name].as_ref().map_err(|reported| *reported));
    if let (Ok(source), Ok(entity)) = (known, &entity) {
        entity.iter().for_each(|key| check_key(*key, source));
    }
    let mut columns = known.map_or_else(|_| Columns::unknown(), Columns::of);
    let transforms = table.each("transform", |node| transform(node, name.text, &mut columns));
    let features = features(table, name.text, &columns);
    Ok(View {
        name: checked_name?,
        location: table.place.location(),
        source: source?.to_owned(),
        entity: owned(&entity?),
        transforms: transforms?,
        ttl: ttl?,
        features: features?,
    })
}

fn source<'a>(node: Node<'a>, sources: &Sources) -> Checked<&'a str> {
    let name = node.text()?;
    if sources.contains_key(name.text) {
        return Ok(name.text);
    }
    let hint = names::suggest(name.text, "sources", sources.keys().map(String::as_str));
    Err(name.error(format!("source `{}` is not declared", name.text), hint))
}

fn check_key(key: Text<'_>, source: &Source) {
    if source.keys.iter().any(|known| known == key.text) {
        return;
    }
    let message = format!("`{}` is not a join key of source `{}`", key.text, source.name);
    let hint = match source.schema.field(key.text) {
        Some(field) if field.data_type.can_be_key() => {
            format!(
                "move the column from the source's fields to its keys: `keys = {{ {} = \"{}\" }}`",
                key.text, field.data_type
            )
        }
        _ => names::suggest(key.text, "join keys", source.keys.iter().map(String::as_str)),
    };
    key.error(message, hint);
}

/// The columns of a row as far as they are known before plugins are resolved.
pub(super) struct Columns {
    known: BTreeSet<String>,
    /// Whether there may be others, which a plugin names.
    is_open: bool,
}

impl Columns {
    fn of(source: &Source) -> Self {
        let fields = source.schema.fields().iter().map(|field| field.name.clone());
        // Every event has its time under this name, whatever the source calls it.
        Self { known: fields.chain([names::EVENT_TIME.to_owned()]).collect(), is_open: false }
    }

    fn unknown() -> Self {
        Self { known: BTreeSet::new(), is_open: true }
    }

    /// Checks that the view has the column, if that can be known.
    pub(super) fn check(&self, name: Text<'_>, view: &str) -> Checked<()> {
        if self.is_open || self.known.contains(name.text) {
            return Ok(());
        }
        let hint = names::suggest(name.text, "columns", self.known.iter().map(String::as_str));
        Err(name.error(format!("view `{view}` has no column `{}`", name.text), hint))
    }
}

/// Reads a row transform, whose output joins the columns.
fn transform(node: Node<'_>, view: &str, columns: &mut Columns) -> Checked<PluginUse> {
    let read = || {
        let table = node.table(format!("a transform of view `{view}`"), TRANSFORM_KEYS)?;
        let input = table.optional("input", Node::texts);
        let output = table.optional("output", |node| plugin::output(node, names::check_column));
        let binding = plugin::read(&table, input, output)?;
        all(binding.input.iter().flatten().map(|name| columns.check(*name, view)))?;
        Ok(binding.plugin)
    };
    let transform: Checked<PluginUse> = read();
    match transform.as_ref().map(|transform| &transform.output) {
        Ok(Some(output)) => columns.known.extend(output.iter().cloned()),
        _ => columns.is_open = true,
    }
    transform
}

/// Reads what the view ends in: aggregates or the latest row, not both.
fn features(table: &Table<'_>, view: &str, columns: &Columns) -> Checked<ViewFeatures> {
    let place = table.place;
    match (table.get("aggregate")?, table.get("latest")?) {
        (Some(node), None) => aggregate::read(node, view, columns).map(ViewFeatures::Aggregates),
        (None, Some(node)) => {
            let latest = node.some_texts()?;
            all(latest.iter().map(|name| columns.check(*name, view)))?;
            Ok(ViewFeatures::Latest(owned(&latest)))
        }
        (Some(_), Some(latest)) => {
            let hint = "make two views of it, one for each";
            Err(latest.place.error(format!("view `{view}` has both `aggregate` and `latest`"), hint))
        }
        (None, None) => {
            let hint = format!("add `[[view.{view}.aggregate]]`, or `latest = [\"…\"]` for columns of the last row");
            Err(place.error(format!("view `{view}` computes nothing"), hint))
        }
    }
}

impl View {
    /// The features whose names are certain before plugins are resolved, in order.
    pub(super) fn certain_features(&self) -> Vec<String> {
        match &self.features {
            ViewFeatures::Latest(columns) => columns.clone(),
            ViewFeatures::Aggregates(aggregates) => aggregates.iter().flat_map(aggregate::certain_features).collect(),
        }
    }

    /// Whether the view may turn out to have a feature of this name.
    pub(super) fn may_have(&self, feature: &str) -> bool {
        self.certain_features().iter().any(|certain| certain == feature)
            || match &self.features {
                ViewFeatures::Latest(_) => false,
                ViewFeatures::Aggregates(aggregates) => {
                    aggregates.iter().any(|aggregate| aggregate::may_make(aggregate, feature))
                }
            }
    }
}
