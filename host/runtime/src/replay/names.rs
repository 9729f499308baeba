use std::collections::BTreeMap;

use oast_core::{Field, Schema};
use oast_store::StoreError;
use serde::{Deserialize, Serialize};

use crate::RuntimeError;

/// What columns of a table are called there, by the names that the definition has for them; others have the same name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ColumnNames(BTreeMap<String, String>);

impl ColumnNames {
    /// From pairs of a name in the definition and one in the table.
    pub(crate) fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self(pairs.into_iter().map(|(name, column)| (name.to_owned(), column.to_owned())).collect())
    }

    /// Whether every column has the definition's name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pairs of a name in the definition and one in the table.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, column)| (name.as_str(), column.as_str()))
    }

    /// Wanted columns by the names that the table has for them.
    pub(crate) fn in_table(&self, wanted: &Schema, table: &str) -> Result<Schema, RuntimeError> {
        if let Some(unknown) = self.0.keys().find(|name| wanted.field(name).is_none()) {
            return Err(RuntimeError::request(
                format!("`--map` names `{unknown}`, and {table} is not asked for such a column"),
                format!("on the left side stands one of {}", wanted.names_quoted()),
            ));
        }
        renamed(wanted, |name| self.0.get(name).cloned())
    }

    /// The columns of a table by the names that the definition has for them.
    pub(crate) fn as_defined(&self, found: &Schema) -> Result<Schema, RuntimeError> {
        renamed(found, |name| self.defined(name))
    }

    /// The definition's name for a column of the table, if it is another.
    pub(crate) fn defined(&self, column: &str) -> Option<String> {
        self.0.iter().find(|(_, found)| *found == column).map(|(name, _)| name.clone())
    }
}

/// The error of a table that lacks a column, with a hint that tells how to say what the column is called there.
pub(super) fn explained(error: RuntimeError, table: &str, hint: impl FnOnce() -> String) -> RuntimeError {
    let RuntimeError::Store(StoreError::Table { path, source }) = &error else { return error };
    let StoreError::MissingColumn { column, available } = &**source else { return error };
    let path = path.display();
    RuntimeError::request(format!("{table} `{path}` has no column `{column}`; there are {available}"), hint())
}

fn renamed(schema: &Schema, name: impl Fn(&str) -> Option<String>) -> Result<Schema, RuntimeError> {
    let rename = |field: &Field| Field { name: name(&field.name).unwrap_or(field.name.clone()), ..field.clone() };
    Schema::new(schema.fields().iter().map(rename).collect()).map_err(|error| {
        RuntimeError::request(
            format!("the columns cannot be mapped: {error}"),
            "map each column to one of its own, and drop or rename what the table has under that name",
        )
    })
}
