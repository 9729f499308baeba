//! How rows, outcomes and features are shown to the author of a plugin that broke a law.

use oast_core::{Batch, Outcome, Schema};

/// The most rows that a finding shows.
const ROWS_SHOWN: usize = 8;

/// The longest text of a value that is shown.
const TEXT_SHOWN: usize = 200;

/// A row as a JSON object, in the order of its columns.
pub(super) fn row_json(schema: &Schema, rows: &Batch, row: usize) -> String {
    let member = |(field, column): (&oast_core::Field, &oast_core::Column)| {
        let value = column.get(row).map_or(serde_json::Value::Null, |value| value.to_json());
        format!("{}:{}", serde_json::Value::from(field.name.as_str()), shortened(value.to_string()))
    };
    let members: Vec<String> = schema.fields().iter().zip(&rows.columns).map(member).collect();
    format!("{{{}}}", members.join(","))
}

/// The first rows of a batch as JSON objects, with a last line that says how many are left out.
pub(super) fn rows_json(schema: &Schema, rows: &Batch) -> Vec<String> {
    let mut lines: Vec<String> = (0..rows.rows.min(ROWS_SHOWN)).map(|row| row_json(schema, rows, row)).collect();
    if rows.rows > ROWS_SHOWN {
        lines.push(format!("… and {} more", rows.rows - ROWS_SHOWN));
    }
    lines
}

/// What became of a row.
pub(super) fn outcome_text(outcome: &Outcome, schema: &Schema, rows: Option<&Batch>, row: usize) -> String {
    match (outcome, rows) {
        (Outcome::Keep, Some(rows)) => row_json(schema, rows, row),
        (Outcome::Keep, None) => "kept".to_owned(),
        (Outcome::Drop, _) => "dropped".to_owned(),
        (Outcome::Reject(rejection), _) => shortened(format!("rejected, `{}`: {}", rejection.code, rejection.message)),
        (Outcome::Fail(failure), _) => shortened(failure.to_string()),
    }
}

/// Two states in hexadecimal digits, from a little before where they part.
pub(super) fn states_text(left: &[u8], right: &[u8]) -> (String, String) {
    let parted = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    let start = parted.saturating_sub(8);
    let text = |state: &[u8]| {
        let shown = &state[start..state.len().min(start + TEXT_SHOWN / 4)];
        let digits: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} bytes, from byte {start}: {digits}", state.len())
    };
    (text(left), text(right))
}

fn shortened(text: String) -> String {
    if text.chars().count() <= TEXT_SHOWN {
        return text;
    }
    text.chars().take(TEXT_SHOWN).chain(['…']).collect()
}
