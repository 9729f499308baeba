use crate::{Batch, Blobs, Column, Values};

/// A row of one of several batches: the number of the batch, and of the row in it.
pub type Pick = (u32, u32);

impl Batch {
    /// The picked rows of several batches of one schema, in the order of the picks.
    ///
    /// # Panics
    ///
    /// When there is no batch, or their columns are of different types.
    pub fn gather(parts: &[&Self], picks: &[Pick]) -> Self {
        let column = |at: usize| {
            let parts: Vec<&Column> = parts.iter().map(|part| &part.columns[at]).collect();
            Column::gather(&parts, picks)
        };
        Self { rows: picks.len(), columns: (0..parts[0].columns.len()).map(column).collect() }
    }

    /// How many bytes of memory the columns hold, room for more rows included.
    pub fn held_bytes(&self) -> u64 {
        self.columns.iter().map(Column::held_bytes).sum()
    }
}

impl Column {
    fn gather(parts: &[&Self], picks: &[Pick]) -> Self {
        let values = match &parts[0].values {
            Values::Bool(_) => Values::Bool(numbers(parts, picks, 1, bools)),
            Values::Int64(_) => Values::Int64(numbers(parts, picks, 1, integers)),
            Values::Timestamp(_) => Values::Timestamp(numbers(parts, picks, 1, integers)),
            Values::Float64(_) => Values::Float64(numbers(parts, picks, 1, floats)),
            Values::Utf8(_) => Values::Utf8(strings(parts, picks)),
            Values::Binary(_) => Values::Binary(strings(parts, picks)),
            Values::Vector { width, .. } => {
                Values::Vector { width: *width, values: numbers(parts, picks, *width as usize, singles) }
            }
        };
        Self { values, validity: validity(parts, picks) }
    }

    fn held_bytes(&self) -> u64 {
        let values = match &self.values {
            Values::Bool(values) => values.capacity(),
            Values::Int64(values) | Values::Timestamp(values) => values.capacity() * 8,
            Values::Float64(values) => values.capacity() * 8,
            Values::Utf8(blobs) | Values::Binary(blobs) => blobs.offsets.capacity() * 4 + blobs.bytes.capacity(),
            Values::Vector { values, .. } => values.capacity() * 4,
        };
        (values + self.validity.as_ref().map_or(0, Vec::capacity)) as u64
    }
}

const ONE_TYPE: &str = "batches of one schema have columns of one type";

/// The picked rows of columns with so many numbers a row.
fn numbers<T: Copy>(
    parts: &[&Column],
    picks: &[Pick],
    width: usize,
    of: impl Fn(&Values) -> Option<&Vec<T>>,
) -> Vec<T> {
    let parts: Vec<&[T]> = parts.iter().map(|part| of(&part.values).expect(ONE_TYPE).as_slice()).collect();
    if width == 1 {
        return picks.iter().map(|(part, row)| parts[*part as usize][*row as usize]).collect();
    }
    let row = |(part, row): &Pick| &parts[*part as usize][*row as usize * width..(*row as usize + 1) * width];
    picks.iter().flat_map(row).copied().collect()
}

fn strings(parts: &[&Column], picks: &[Pick]) -> Blobs {
    picks.iter().map(|(part, row)| blobs(&parts[*part as usize].values).expect(ONE_TYPE).get(*row as usize)).collect()
}

/// One byte a row, or nothing when no picked row is null, as [`Column::take`] has it.
fn validity(parts: &[&Column], picks: &[Pick]) -> Option<Vec<u8>> {
    if parts.iter().all(|part| part.validity.is_none()) {
        return None;
    }
    let is_valid = |(part, row): &Pick| u8::from(parts[*part as usize].is_valid(*row as usize));
    Some(picks.iter().map(is_valid).collect::<Vec<u8>>()).filter(|bytes| bytes.contains(&0))
}

fn bools(values: &Values) -> Option<&Vec<u8>> {
    if let Values::Bool(values) = values { Some(values) } else { None }
}

fn integers(values: &Values) -> Option<&Vec<i64>> {
    if let Values::Int64(values) | Values::Timestamp(values) = values { Some(values) } else { None }
}

fn floats(values: &Values) -> Option<&Vec<f64>> {
    if let Values::Float64(values) = values { Some(values) } else { None }
}

fn singles(values: &Values) -> Option<&Vec<f32>> {
    if let Values::Vector { values, .. } = values { Some(values) } else { None }
}

fn blobs(values: &Values) -> Option<&Blobs> {
    if let Values::Utf8(blobs) | Values::Binary(blobs) = values { Some(blobs) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ColumnBuilder, DataType, Value};

    fn batch(values: &[Option<i64>]) -> Batch {
        let column = |data_type: DataType, value: fn(i64) -> Value| {
            let mut builder = ColumnBuilder::new(data_type);
            values.iter().for_each(|each| builder.push(each.map(value).as_ref()));
            builder.finish()
        };
        let columns = vec![
            column(DataType::Int64, Value::Int64),
            column(DataType::Utf8, |number| Value::Utf8(number.to_string())),
            column(DataType::Vector(2), |number| Value::Vector(vec![number as f32, 0.5])),
            column(DataType::Bool, |number| Value::Bool(number > 1)),
        ];
        Batch { rows: values.len(), columns }
    }

    #[test]
    fn picked_rows_are_those_of_the_batches_laid_end_to_end() {
        let (first, second) = (batch(&[Some(1), None, Some(3)]), batch(&[Some(4), Some(5)]));
        let mut whole = first.clone();
        whole.append(&second);
        for picks in [&[(1, 1), (0, 0), (0, 1), (1, 1)][..], &[(0, 0), (1, 0)], &[]] {
            let rows: Vec<u32> = picks.iter().map(|(part, row)| part * 3 + row).collect();
            assert_eq!(Batch::gather(&[&first, &second], picks), whole.take(&rows), "{picks:?}");
        }
    }

    #[test]
    fn held_bytes_count_every_buffer() {
        let mut batch = batch(&[Some(1), None]);
        batch.columns.truncate(1);
        let before = batch.held_bytes();
        assert!(before >= 2 * 8 + 2, "{before}");
        batch.append(&batch.clone());
        assert!(batch.held_bytes() >= 4 * 8 + 4);
    }
}
