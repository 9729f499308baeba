use std::ops::Range;

use oast_core::{Batch, Failure, Fuel, Rejection, Schema, Values};
use wasmtime::component::ComponentExportIndex;

use crate::{
    EngineError, Outcomes, Plugin,
    invoke::{Called, FreshInstance, Returned, shortened},
    lasting::Instances,
    wire::{BatchArg, WireOutput, WireRejection, WireVerdict},
};

/// A plugin that maps, drops or rejects rows.
#[derive(Clone, Copy)]
pub struct Transform<'p> {
    plugin: &'p Plugin,
    instances: Instances,
    apply: &'p ComponentExportIndex,
}

/// What a transform made of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// One outcome a row that went in.
    pub outcomes: Outcomes,
    /// The numbers of the rows that were kept.
    pub kept: Vec<u32>,
    /// Those rows, transformed; its columns are those of the descriptor's output.
    pub rows: Batch,
    /// The fuel consumed by all accepted calls.
    pub consumed: Fuel,
}

impl<'p> Transform<'p> {
    pub(crate) fn new(plugin: &'p Plugin, apply: &'p ComponentExportIndex) -> Self {
        Self { plugin, instances: Instances::Single, apply }
    }

    /// Makes calls of several rows on instances that take several calls, as replays do. What is looked up comes from instances
    /// that are used once.
    pub fn lasting(self) -> Self {
        Self { instances: Instances::Lasting, ..self }
    }

    /// Transforms rows whose columns are the descriptor's input. Each outcome is that of the row's canonical run, however
    /// many rows go in together.
    pub fn apply(&self, input: &Batch) -> Result<Applied, EngineError> {
        let rows = Batch::empty(&self.plugin.descriptor().output);
        let mut applied = Applied { outcomes: Outcomes::default(), kept: Vec::new(), rows, consumed: Fuel(0) };
        let mut start = 0;
        while start < input.rows {
            let end = input.rows.min(start + self.plugin.rows_next());
            self.apply_range(input, start..end, &mut applied)?;
            start = end;
        }
        Ok(applied)
    }

    /// Runs the rows together; when the call is not accepted, runs each half of them, down to the canonical run of one.
    fn apply_range(&self, input: &Batch, range: Range<usize>, applied: &mut Applied) -> Result<(), EngineError> {
        let whole = range.len() == input.rows;
        let part = if whole { None } else { Some(input.slice(range.start, range.end)) };
        let Called { accepted, consumed, .. } = self.call(part.as_ref().unwrap_or(input))?;
        let budget = self.plugin.limits().budget_fuel;
        self.plugin.learn(range.len(), consumed, accepted.is_ok().then_some(budget));
        match accepted {
            Ok(output) => applied.take(range.start, output, consumed),
            Err(failure) if range.len() == 1 => applied.outcomes.push(failure.into()),
            Err(_) => {
                let middle = range.start + range.len() / 2;
                self.apply_range(input, range.start..middle, applied)?;
                self.apply_range(input, middle..range.end, applied)?;
            }
        }
        Ok(())
    }

    /// One call with all of these rows.
    pub(crate) fn call(&self, rows: &Batch) -> Result<Called<Output>, EngineError> {
        let (instances, budget) = (self.instances.for_rows(rows.rows), self.plugin.limits().budget_fuel);
        let read = |returned| self.read(returned, rows.rows);
        self.plugin.call(instances, self.apply, (BatchArg::from(rows),), budget, read)
    }

    /// One call of an instance that may have been called before.
    pub(crate) fn call_again(&self, instance: &mut FreshInstance, rows: &Batch) -> Result<Called<Output>, EngineError> {
        let budget = self.plugin.limits().budget_fuel;
        let invocation = instance.call(self.apply, (BatchArg::from(rows),), budget)?;
        Ok(invocation.read(|returned| self.read(returned, rows.rows)))
    }

    fn read(&self, returned: Returned<WireOutput>, rows: usize) -> Result<Output, Failure> {
        match returned? {
            Ok(output) => {
                read_output(output, rows, &self.plugin.descriptor().output).map(|output| self.limited(output))
            }
            Err(message) if rows == 1 => Ok(Output::rejected("error", message)),
            Err(message) => Err(Failure::Error(message)),
        }
    }

    /// Fails every row that came back larger than the limit for one row.
    fn limited(&self, mut output: Output) -> Output {
        let limit = self.plugin.limits().output_bytes as usize;
        if row_bytes_max(&output.rows) <= limit {
            return output;
        }
        for row in 0..output.rows.rows {
            if output.outcomes.is_kept(row) && row_bytes(&output.rows, row) > limit {
                output.outcomes.fail(row, Failure::Malformed(format!("more than {limit} bytes for one row")));
            }
        }
        output
    }
}

/// The bytes of one row.
pub(crate) fn row_bytes(batch: &Batch, row: usize) -> usize {
    rows_bytes(batch, row, row + 1)
}

/// The bytes of the rows from `start` up to `end`.
pub(crate) fn rows_bytes(batch: &Batch, start: usize, end: usize) -> usize {
    let rows = end - start;
    let bytes = batch.columns.iter().map(|column| match &column.values {
        Values::Bool(_) => rows,
        Values::Int64(_) | Values::Float64(_) | Values::Timestamp(_) => rows * 8,
        Values::Utf8(blobs) | Values::Binary(blobs) => (blobs.offsets[end] - blobs.offsets[start]) as usize,
        Values::Vector { width, .. } => rows * *width as usize * 4,
    });
    bytes.sum()
}

/// Bytes that no row exceeds, found without looking at every row.
pub(crate) fn row_bytes_max(batch: &Batch) -> usize {
    let bytes = batch.columns.iter().map(|column| match &column.values {
        Values::Bool(_) => 1,
        Values::Int64(_) | Values::Float64(_) | Values::Timestamp(_) => 8,
        Values::Utf8(blobs) | Values::Binary(blobs) => blobs.bytes.len(),
        Values::Vector { width, .. } => *width as usize * 4,
    });
    bytes.sum()
}

/// A checked output of one call: an outcome a row, and as many rows, of which those that are kept mean something.
pub(crate) struct Output {
    pub(crate) outcomes: Outcomes,
    pub(crate) rows: Batch,
}

impl Output {
    fn rejected(code: &str, message: String) -> Self {
        let rejection = Rejection { code: code.to_owned(), message };
        Self { outcomes: Outcomes::from_iter([rejection.into()]), rows: Batch::default() }
    }
}

impl Applied {
    fn take(&mut self, start: usize, output: Output, consumed: Fuel) {
        let Output { outcomes, rows } = output;
        let kept = outcomes.kept();
        let rows = match kept.len() {
            0 => None,
            all if all == outcomes.len() => Some(rows),
            _ => Some(rows.take(&kept)),
        };
        // One call is the common case, and its rows and outcomes are those of the whole.
        match rows {
            Some(rows) if self.rows.rows == 0 => self.rows = rows,
            Some(rows) => self.rows.append(&rows),
            None => {}
        }
        self.outcomes.append(outcomes);
        if start == 0 {
            self.kept = kept;
        } else {
            self.kept.extend(kept.iter().map(|row| start as u32 + row));
        }
        self.consumed.0 += consumed.0;
    }
}

/// Checks what came back against the contract.
fn read_output(output: WireOutput, rows: usize, schema: &Schema) -> Result<Output, Failure> {
    if output.rows.rows as usize != rows {
        return Err(Failure::Malformed(format!("{} rows for {rows}", output.rows.rows)));
    }
    let outcomes = read_verdicts(output.verdicts, output.rejections, rows)?;
    let batch = Batch::from(output.rows).into_canonical(schema);
    Ok(Output { outcomes, rows: batch.map_err(|error| Failure::Malformed(error.to_string()))? })
}

fn read_verdicts(
    verdicts: Option<Vec<WireVerdict>>,
    rejections: Vec<WireRejection>,
    rows: usize,
) -> Result<Outcomes, Failure> {
    let malformed = |what: String| Err(Failure::Malformed(what));
    if verdicts.is_none() && rejections.is_empty() {
        return Ok(Outcomes::all_kept(rows));
    }
    let verdicts = verdicts.unwrap_or_else(|| vec![WireVerdict::Keep; rows]);
    if verdicts.len() != rows {
        return malformed(format!("{} verdicts for {rows} rows", verdicts.len()));
    }
    let mut rejections = rejections.into_iter().peekable();
    let mut lost = Vec::with_capacity(rejections.len());
    for row in (0..rows).filter(|row| verdicts[*row] == WireVerdict::Reject) {
        let Some(WireRejection { code, message, .. }) = rejections.next_if(|rejection| rejection.row as usize == row)
        else {
            return malformed(format!("no rejection for the rejected row {row}"));
        };
        lost.push((row as u32, Rejection { code: shortened(code), message: shortened(message) }.into()));
    }
    match rejections.next() {
        None => Ok(Outcomes::new(verdicts, lost)),
        Some(rejection) => malformed(match verdicts.get(rejection.row as usize) {
            Some(verdict) if *verdict != WireVerdict::Reject => {
                format!("a rejection for row {}, which was not rejected", rejection.row)
            }
            _ => format!("a rejection out of order for row {}", rejection.row),
        }),
    }
}
