use std::collections::BTreeMap;

use super::{
    FeatureRef, PluginUse, Service, View, field, names, plugin,
    reader::{Checked, Keys, Node, Reported, Table, Text, all},
    view::Sources,
};
use crate::{DataType, Field, Schema};

pub(super) const KEYS: Keys = &[
    ("features", "features = [\"carrier_delay:*\", \"plane_latest:seats\"]"),
    ("request", "request = { distance = \"float64\" }"),
    ("derive", "[[service.delay_model.derive]]"),
];

const DERIVE_KEYS: Keys = &[
    ("plugin", "plugin = \"ratio\""),
    ("params", "params = { default = 0.0 }"),
    ("input", "input = [\"carrier_delay:dep_delay_mean_1h\", \"distance\"]"),
    ("output", "output = [\"delay_trend\"]"),
];

/// The views that were declared, those with errors included, by name.
pub(super) type Views = BTreeMap<String, Checked<View>>;

/// Reads and checks a service.
pub(super) fn read(name: Text<'_>, table: &Table<'_>, sources: &Sources, views: &Views) -> Checked<Service> {
    let checked_name = names::check_name(name, "a service");
    let mut scope = Scope { service: name.text, views, used: BTreeMap::new(), columns: Vec::new(), is_open: false };
    let features = table.required("features", |node| features(node, &mut scope));
    let request = table.optional("request", |node| request(node, &mut scope));
    scope.is_open = request.is_err();
    let derives = table.each("derive", |node| derive(node, &mut scope));
    scope.check_join_keys(sources)?;
    Ok(Service {
        name: checked_name?,
        location: table.place.location(),
        features: features?,
        request: request?.unwrap_or_default(),
        derives: derives?,
    })
}

/// What a derived transform of a service may name as its input.
struct Scope<'a> {
    service: &'a str,
    views: &'a Views,
    /// The views that were named so far, each with the first reference to it.
    used: BTreeMap<&'a str, Text<'a>>,
    /// The request fields and the columns derived so far.
    columns: Vec<Text<'a>>,
    /// Whether there may be other columns, declared with an error.
    is_open: bool,
}

impl<'a> Scope<'a> {
    /// Reads `view:feature` or `view:*`, where the view must be declared and the feature must not be known to be missing.
    fn reference(&mut self, text: Text<'a>) -> Checked<FeatureRef> {
        let Some((view_name, feature)) = text.text.split_once(':') else {
            let hint = format!("write `{0}:*` for all features of view `{0}`, or `view:feature` for one", text.text);
            return Err(text.error(format!("`{}` is not a feature reference", text.text), hint));
        };
        let Some(view) = self.views.get(view_name) else {
            let hint = names::suggest(view_name, "views", self.views.keys().map(String::as_str));
            return Err(text.error(format!("view `{view_name}` is not declared"), hint));
        };
        self.used.entry(view_name).or_insert(text);
        let feature = (feature != "*").then(|| feature.to_owned());
        match (view, &feature) {
            (Ok(view), Some(feature)) if !view.may_have(feature) => Err(unknown_feature(text, view, feature)),
            _ => Ok(FeatureRef { view: view_name.to_owned(), feature }),
        }
    }

    /// Adds a request field or a derived column, whose name no other may have.
    fn add(&mut self, name: Text<'a>) -> Checked<()> {
        names::check_dataset_column(name)?;
        if self.columns.iter().any(|column| column.text == name.text) {
            let message = format!("service `{}` already has a column `{}`", self.service, name.text);
            return Err(name.error(message, "give it another name"));
        }
        self.columns.push(name);
        Ok(())
    }

    /// Checks that each join key has one type in all views, and that no other column has its name.
    fn check_join_keys(&self, sources: &Sources) -> Checked<()> {
        let mut join_keys: BTreeMap<&str, (DataType, &str)> = BTreeMap::new();
        for (view_name, reference) in &self.used {
            for field in entity(&self.views[*view_name], sources) {
                let (data_type, first) = *join_keys.entry(&field.name).or_insert((field.data_type, view_name));
                if data_type != field.data_type {
                    let (key, other) = (&field.name, field.data_type);
                    let message =
                        format!("join key `{key}` is {other} in view `{view_name}` and {data_type} in view `{first}`");
                    reference.error(message, "one lookup sends one value for both: make their sources agree");
                }
            }
        }
        let checked = self.columns.iter().map(|column| match join_keys.get(column.text) {
            Some((_, view)) => {
                let message = format!("`{}` is already a join key of view `{view}`", column.text);
                Err(column.error(message, "give it another name"))
            }
            None => Ok(()),
        });
        all(checked).map(|_| ())
    }
}

/// The join key columns of a view, if it and its source were read.
fn entity<'s>(view: &Checked<View>, sources: &'s Sources) -> Vec<&'s Field> {
    let Ok(view) = view else { return Vec::new() };
    let Some(Ok(source)) = sources.get(&view.source) else { return Vec::new() };
    view.entity.iter().filter_map(|key| source.schema.field(key)).collect()
}

fn unknown_feature(text: Text<'_>, view: &View, feature: &str) -> Reported {
    let certain = view.certain_features();
    let hint = if certain.is_empty() {
        "features are named `<name>_<output>_<window>`, for example `dep_delay_mean_24h`".to_owned()
    } else {
        names::suggest(feature, "features", certain.iter().map(String::as_str))
    };
    text.error(format!("view `{}` has no feature `{feature}`", view.name), hint)
}

/// Reads the features, none of them twice.
fn features<'a>(node: Node<'a>, scope: &mut Scope<'a>) -> Checked<Vec<FeatureRef>> {
    let texts = node.some_texts()?;
    let features = all(texts.iter().map(|text| scope.reference(*text)))?;
    let checked = texts.iter().zip(&features).map(|(text, one)| {
        let includes = |all: &&FeatureRef| all.feature.is_none() && all.view == one.view && *all != one;
        match features.iter().find(includes) {
            Some(all) => Err(text.error(format!("`{one}` is already among `{all}`"), "remove one of the two")),
            None => Ok(()),
        }
    });
    all(checked)?;
    Ok(features)
}

/// Reads the fields that the caller sends.
fn request<'a>(node: Node<'a>, scope: &mut Scope<'a>) -> Checked<Schema> {
    let fields = field::read(node)?;
    all(fields.iter().map(|(name, _)| scope.add(*name)))?;
    let fields = fields.into_iter().map(|(_, field)| field).collect();
    Ok(Schema::new(fields).expect("a table has each key once, and names were checked"))
}

/// Reads a transform derived at request time, whose output joins the columns.
fn derive<'a>(node: Node<'a>, scope: &mut Scope<'a>) -> Checked<PluginUse> {
    let what = format!("a derived transform of service `{}`", scope.service);
    let table = node.table(what, DERIVE_KEYS).inspect_err(|_| scope.is_open = true)?;
    let input = table.required("input", Node::texts).map(Some);
    let output = table.required("output", |node| plugin::output(node, names::check_dataset_column)).map(Some);
    let binding = plugin::read(&table, input, output).inspect_err(|_| scope.is_open = true)?;
    let input = all(binding.input.iter().flatten().map(|name| derive_input(*name, scope)));
    all(binding.output.iter().flatten().map(|name| scope.add(*name)))?;
    input?;
    Ok(binding.plugin)
}

/// Checks that an input names one feature, a request field or a column derived before.
fn derive_input<'a>(name: Text<'a>, scope: &mut Scope<'a>) -> Checked<()> {
    if name.text.contains(':') {
        return match scope.reference(name)?.feature {
            Some(_) => Ok(()),
            None => Err(name.error(
                format!("`{}` is not one feature", name.text),
                "an input is bound by position: name each feature",
            )),
        };
    }
    if scope.is_open || scope.columns.iter().any(|column| column.text == name.text) {
        return Ok(());
    }
    let known = scope.columns.iter().map(|column| column.text);
    let hint = match names::nearest(name.text, known.clone()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("write `view:feature` for a feature; {}", names::list("other inputs", known)),
    };
    Err(name.error(format!("`{}` is neither a request field nor derived before", name.text), hint))
}
