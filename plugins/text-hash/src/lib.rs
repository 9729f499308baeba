//! The standard plugin `text-hash`.

use mur3::murmurhash3_x86_32;
use oast_sdk::schema::only;
use oast_sdk::{
    Batch, BatchTransform, Buffer, Column, DataType, Error, Field, Json, Output, Param, Params, Schemas, Vectors,
    batch_transform,
};

/// Hashes the words of a text, and runs of them, into one vector of fixed width.
///
/// The text is put into lower case. A word is a run of two or more letters, digits and underscores (as Unicode has
/// them); an n-gram is n neighbouring words with a space between them. Every n-gram from 1 to `ngram_max` words adds 1
/// at the place `|h| mod width`, with the sign of h, where h is the 32-bit MurmurHash3 of its UTF-8 bytes with seed 0,
/// as a signed integer: Weinberger and others, *Feature Hashing for Large Scale Multitask Learning* (ICML 2009). The
/// vector is then divided by its norm, unless that is 0. Null gives zeros. It is `HashingVectorizer` of scikit-learn.
#[batch_transform]
#[derive(Debug)]
pub struct TextHash {
    settings: Settings,
}

/// The parameters of [`TextHash`].
#[derive(Debug, Params)]
pub struct Settings {
    /// How many values the vector has; 256 when absent.
    #[param(default = Width(256))]
    width: Width,
    /// The most words of an n-gram; 1 when absent.
    #[param(default = Words(1))]
    ngram_max: Words,
    /// Whether to put the text into lower case first.
    #[param(default = true)]
    lowercase: bool,
    /// What to divide by: `"l2"`, which is the default, `"l1"` or `"none"`.
    #[param(default = Norm::L2)]
    norm: Norm,
}

/// The width of a vector.
#[derive(Debug, Clone, Copy)]
pub struct Width(u32);

impl Param for Width {
    const EXPECTED: &'static str = "an integer from 1 to 16384";
    const EXAMPLE: &'static str = "256";

    fn from_json(json: &Json) -> Option<Self> {
        u32::from_json(json).filter(|width| (1..=16_384).contains(width)).map(Self)
    }
}

/// A number of words.
#[derive(Debug, Clone, Copy)]
pub struct Words(u32);

impl Param for Words {
    const EXPECTED: &'static str = "an integer from 1 to 5";
    const EXAMPLE: &'static str = "2";

    fn from_json(json: &Json) -> Option<Self> {
        u32::from_json(json).filter(|words| (1..=5).contains(words)).map(Self)
    }
}

/// What a vector is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Param)]
pub enum Norm {
    /// The square root of the sum of the squares.
    L2,
    /// The sum of the absolute values.
    L1,
    /// Nothing.
    None,
}

impl BatchTransform for TextHash {
    type Params = Settings;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let field = only(offered)?;
        if field.data_type != DataType::Utf8 {
            return Err(Error::new(format!("expected a column of utf8, got {field}")));
        }
        let output = Field::new("hashed", DataType::Vector(settings.width.0));
        Ok((Self { settings }, Schemas { input: vec![field.clone().nullable()], output: vec![output] }))
    }

    fn apply(&self, input: Batch) -> Result<Output, Error> {
        let column = input.column(0)?;
        let Buffer::Utf8(texts) = &column.buffer else {
            return Err(Error::new(format!("a column of {} was not agreed", column.buffer.data_type())));
        };
        let Width(width) = self.settings.width;
        let mut values = Vec::with_capacity(width as usize * input.rows);
        for row in 0..input.rows {
            let text = std::str::from_utf8(texts.get(row))
                .map_err(|error| Error::new(format!("a column of utf8 is not: {error}")))?;
            values.extend(self.vector(text));
        }
        let column = Column { buffer: Buffer::Vectors(Vectors { width, values }), validity: None };
        Ok(Output { rows: Batch { rows: input.rows, columns: vec![column] }, ..Output::default() })
    }
}

impl TextHash {
    fn vector(&self, text: &str) -> impl Iterator<Item = f32> {
        let text = if self.settings.lowercase { text.to_lowercase() } else { text.to_owned() };
        let words: Vec<&str> = text.split(|next: char| !is_word(next)).filter(|word| is_long(word)).collect();
        let mut counts = vec![0.0_f64; self.settings.width.0 as usize];
        for length in 1..=self.settings.ngram_max.0 as usize {
            for ngram in words.windows(length) {
                let hash = murmurhash3_x86_32(ngram.join(" ").as_bytes(), 0).cast_signed();
                counts[(hash.unsigned_abs() % self.settings.width.0) as usize] += if hash < 0 { -1.0 } else { 1.0 };
            }
        }
        // The counts are whole numbers, so that no order of adding them up rounds.
        let norm = match self.settings.norm {
            Norm::L2 => counts.iter().map(|count| count * count).sum::<f64>().sqrt(),
            Norm::L1 => counts.iter().map(|count| count.abs()).sum(),
            Norm::None => 1.0,
        };
        let divisor = if norm == 0.0 { 1.0 } else { norm };
        counts.into_iter().map(move |count| (count / divisor) as f32)
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn is_long(word: &str) -> bool {
    word.chars().nth(1).is_some()
}

#[cfg(test)]
mod tests;
