//! The standard plugin `hash-encode`.

use mur3::murmurhash3_x86_32;
use oast_sdk::{
    Batch, BatchTransform, Buffer, Column, DataType, Error, Field, Json, Output, Param, Params, Schemas, Vectors,
    batch_transform,
};

/// Hashes columns into one vector of fixed width, whatever categories will come: feature hashing, also called the
/// hashing trick.
///
/// A text adds 1 at the place of `COLUMN=TEXT`, for example `carrier=AA`; a number or a bool adds its value at the
/// place of `COLUMN`; null adds nothing. The place of a name is `|h| mod width` and the sign of what is added that of
/// h, where h is the 32-bit MurmurHash3 of the name's UTF-8 bytes with seed 0, as a signed integer. The signs make
/// collisions cancel out on average: Weinberger and others, *Feature Hashing for Large Scale Multitask Learning* (ICML
/// 2009). The columns are added up as doubles in the order given, and the sums rounded to singles. It is
/// `FeatureHasher` of scikit-learn.
#[batch_transform]
#[derive(Debug)]
pub struct HashEncode {
    columns: Vec<Name>,
    width: u32,
    signed: bool,
}

/// The parameters of [`HashEncode`].
#[derive(Debug, Params)]
pub struct Settings {
    /// How many values the vector has.
    #[param(default = Width(64))]
    width: Width,
    /// Whether half of the names are subtracted rather than added.
    #[param(default = true)]
    signed: bool,
}

/// The width of a vector.
#[derive(Debug, Clone, Copy)]
pub struct Width(u32);

impl Param for Width {
    const EXPECTED: &'static str = "an integer from 1 to 16384 (64 when absent)";
    const EXAMPLE: &'static str = "64";

    fn from_json(json: &Json) -> Option<Self> {
        let width = u32::from_json(json)?;
        (1..=16_384).contains(&width).then_some(Self(width))
    }
}

/// A column's name, and where its numbers go.
#[derive(Debug)]
struct Name {
    name: String,
    place: usize,
    sign: f64,
}

impl BatchTransform for HashEncode {
    type Params = Settings;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let Settings { width: Width(width), signed } = settings;
        let takes = |field: &&Field| {
            matches!(field.data_type, DataType::Utf8 | DataType::Int64 | DataType::Float64 | DataType::Bool)
        };
        if let Some(other) = offered.iter().find(|field| !takes(field)) {
            return Err(Error::new(format!(
                "expected columns of utf8, int64, float64 or bool, for example `input = [\"carrier\"]`, got {other}"
            )));
        }
        if offered.is_empty() {
            return Err(Error::new("expected at least one column, for example `input = [\"carrier\"]`"));
        }
        let name = |field: &Field| {
            let (place, sign) = target(field.name.as_bytes(), width, signed);
            Name { name: field.name.clone(), place, sign }
        };
        let schemas = Schemas {
            input: offered.iter().map(|field| field.clone().nullable()).collect(),
            output: vec![Field::new("hashed", DataType::Vector(width))],
        };
        Ok((Self { columns: offered.iter().map(name).collect(), width, signed }, schemas))
    }

    fn apply(&self, input: Batch) -> Result<Output, Error> {
        let width = self.width as usize;
        let mut sums = vec![0.0_f64; width * input.rows];
        for (name, column) in self.columns.iter().zip(&input.columns) {
            for (row, vector) in sums.chunks_exact_mut(width).enumerate() {
                if !column.is_null(row) {
                    self.add(vector, name, &column.buffer, row)?;
                }
            }
        }
        let values = sums.into_iter().map(|sum| sum as f32).collect();
        let column = Column { buffer: Buffer::Vectors(Vectors { width: self.width, values }), validity: None };
        Ok(Output { rows: Batch { rows: input.rows, columns: vec![column] }, ..Output::default() })
    }
}

impl HashEncode {
    fn add(&self, vector: &mut [f64], column: &Name, buffer: &Buffer, row: usize) -> Result<(), Error> {
        let number = match buffer {
            Buffer::Utf8(texts) => {
                let token = [column.name.as_bytes(), b"=", texts.get(row)].concat();
                let (place, sign) = target(&token, self.width, self.signed);
                vector[place] += sign;
                return Ok(());
            }
            Buffer::Int64s(values) => values[row] as f64,
            Buffer::Float64s(values) => values[row],
            Buffer::Bools(values) => f64::from(values[row]),
            other => return Err(Error::new(format!("a column of {} was not agreed", other.data_type()))),
        };
        vector[column.place] += column.sign * number;
        Ok(())
    }
}

/// The place of a name, and the sign of what is added there.
fn target(name: &[u8], width: u32, signed: bool) -> (usize, f64) {
    let hash = murmurhash3_x86_32(name, 0).cast_signed();
    let place = (hash.unsigned_abs() % width) as usize;
    (place, if signed && hash < 0 { -1.0 } else { 1.0 })
}

#[cfg(test)]
mod tests;
