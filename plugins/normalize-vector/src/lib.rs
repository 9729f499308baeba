//! The standard plugin `normalize-vector`.

use oast_sdk::schema::only;
use oast_sdk::{
    Batch, BatchTransform, Buffer, Column, DataType, Error, Field, Output, Param, Params, Schemas, Vectors,
    batch_transform,
};

/// Scales a vector to length 1, under its name: an embedding whose dot product is then the cosine of the angle.
///
/// - `"l2"`: divides by the square root of the sum of the squares
/// - `"l1"`: divides by the sum of the absolute values
/// - `"max"`: divides by the largest absolute value
///
/// The norm is computed in double precision, in the order of the values, and each quotient rounded to a single. A
/// vector whose norm is 0 stays as it is; one with a NaN or an infinity becomes what IEEE 754 division gives. Null
/// stays null. It is `normalize` of scikit-learn.
#[batch_transform]
#[derive(Debug)]
pub struct NormalizeVector {
    norm: Norm,
}

/// The parameters of [`NormalizeVector`].
#[derive(Debug, Params)]
pub struct Settings {
    /// What to divide by; `"l2"` when absent.
    #[param(default = Norm::L2)]
    norm: Norm,
}

/// The length of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Param)]
pub enum Norm {
    /// The square root of the sum of the squares.
    L2,
    /// The sum of the absolute values.
    L1,
    /// The largest absolute value.
    Max,
}

impl Norm {
    fn of(self, vector: &[f32]) -> f64 {
        let values = vector.iter().map(|value| f64::from(*value));
        match self {
            Self::L2 => values.map(|value| value * value).sum::<f64>().sqrt(),
            Self::L1 => values.map(f64::abs).sum(),
            Self::Max => {
                values.map(f64::abs).fold(0.0, |max, value| if value > max || value.is_nan() { value } else { max })
            }
        }
    }
}

impl BatchTransform for NormalizeVector {
    type Params = Settings;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let field = only(offered)?;
        let DataType::Vector(_) = field.data_type else {
            return Err(Error::new(format!("expected a column of vector, got {field}")));
        };
        let schemas = Schemas { input: vec![field.clone()], output: vec![field.clone()] };
        Ok((Self { norm: settings.norm }, schemas))
    }

    fn apply(&self, input: Batch) -> Result<Output, Error> {
        let column = input.column(0)?;
        let Buffer::Vectors(vectors) = &column.buffer else {
            return Err(Error::new(format!("a column of {} was not agreed", column.buffer.data_type())));
        };
        let mut values = vectors.values.clone();
        for vector in values.chunks_exact_mut(vectors.width.max(1) as usize) {
            let norm = self.norm.of(vector);
            if norm != 0.0 {
                vector.iter_mut().for_each(|value| *value = (f64::from(*value) / norm) as f32);
            }
        }
        let buffer = Buffer::Vectors(Vectors { width: vectors.width, values });
        let column = Column { buffer, validity: column.validity.clone() };
        Ok(Output { rows: Batch { rows: input.rows, columns: vec![column] }, ..Output::default() })
    }
}

#[cfg(test)]
mod tests;
