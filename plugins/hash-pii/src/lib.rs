//! The standard plugin `hash-pii`.

use hmac::{Hmac, Mac};
use oast_sdk::{
    Batch, BatchTransform, Blobs, Buffer, Column, DataType, Error, Field, Json, Output, Param, Params, Schemas,
    batch_transform,
};
use sha2::Sha256;

/// Replaces what identifies a person by a pseudonym, under the column's name: HMAC-SHA-256 (RFC 2104, FIPS 180-4) under
/// a key, as text.
///
/// Columns of utf8 and binary are hashed as their bytes, int64 as its decimal digits; the pseudonyms are utf8. Equal
/// values have equal pseudonyms under one key, so that they can still be joined and counted, and different ones under
/// different keys. Null stays null. Bring texts into one form first, for example with the plugin `string`.
///
/// The key is a parameter, so it is part of the definition: it decides the values, lies in the catalog and in
/// `oast.toml`, and whoever can read those can find out who is behind a pseudonym by trying values. The pseudonyms hide
/// persons from those who see features and datasets only, which is pseudonymisation in the sense of the GDPR and not
/// anonymisation. A key that leaked has to be replaced, which is a new definition with new pseudonyms.
#[batch_transform]
#[derive(Debug)]
pub struct HashPii {
    /// The hash after the key.
    keyed: Hmac<Sha256>,
    bytes: usize,
    encoding: Encoding,
}

/// The parameters of [`HashPii`].
#[derive(Params)]
pub struct Settings {
    /// The key.
    #[param(secret)]
    key: Key,
    /// How many bytes of the hash are kept, from 8 to 32; 32 when absent. With n bytes, two of `2^(4 n)` values are
    /// likely to share a pseudonym.
    #[param(default = Length(32))]
    bytes: Length,
    /// `"hex"`, which is the default, or `"base32"`: lower-case hexadecimal digits, or RFC 4648 in lower case without
    /// padding.
    #[param(default = Encoding::Hex)]
    encoding: Encoding,
}

/// A key. It has no `Debug`, so that it does not end up in a log.
pub struct Key(String);

impl Param for Key {
    const EXPECTED: &'static str = "a text of at least 16 bytes";
    const EXAMPLE: &'static str = "\"9f2c61f0a4d84be1\"";

    fn from_json(json: &Json) -> Option<Self> {
        json.as_str().filter(|key| key.len() >= 16).map(|key| Self(key.to_owned()))
    }
}

/// How many bytes of a hash are kept.
#[derive(Debug, Clone, Copy)]
pub struct Length(u32);

impl Param for Length {
    const EXPECTED: &'static str = "an integer from 8 to 32";
    const EXAMPLE: &'static str = "16";

    fn from_json(json: &Json) -> Option<Self> {
        u32::from_json(json).filter(|bytes| (8..=32).contains(bytes)).map(Self)
    }
}

/// How bytes become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Param)]
pub enum Encoding {
    /// Four bits a character.
    Hex,
    /// Five bits a character.
    Base32,
}

impl Encoding {
    fn append(self, hash: &[u8], text: &mut Vec<u8>) {
        const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
        const BASE_32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let (digits, width) = match self {
            Self::Hex => (DIGITS, 4),
            Self::Base32 => (BASE_32, 5),
        };
        let (mut held, mut bits) = (0_u32, 0);
        for byte in hash {
            held = (held << 8 | u32::from(*byte)) & 0xffff;
            bits += 8;
            while bits >= width {
                bits -= width;
                text.push(digits[(held >> bits) as usize & ((1 << width) - 1)]);
            }
        }
        if bits > 0 {
            text.push(digits[(held << (width - bits)) as usize & ((1 << width) - 1)]);
        }
    }
}

impl BatchTransform for HashPii {
    type Params = Settings;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let takes = |field: &&Field| matches!(field.data_type, DataType::Utf8 | DataType::Binary | DataType::Int64);
        if let Some(other) = offered.iter().find(|field| !takes(field)) {
            return Err(Error::new(format!(
                "expected columns of utf8, binary or int64, for example `input = [\"email\"]`, got {other}"
            )));
        }
        if offered.is_empty() {
            return Err(Error::new("expected at least one column, for example `input = [\"email\"]`"));
        }
        let keyed = Hmac::new_from_slice(settings.key.0.as_bytes())
            .map_err(|error| Error::new(format!("parameter `key`: {error}")))?;
        let output = |field: &Field| Field { data_type: DataType::Utf8, ..field.clone() };
        let schemas = Schemas { input: offered.to_vec(), output: offered.iter().map(output).collect() };
        Ok((Self { keyed, bytes: settings.bytes.0 as usize, encoding: settings.encoding }, schemas))
    }

    fn apply(&self, input: Batch) -> Result<Output, Error> {
        let columns = input.columns.iter().map(|column| self.column(column, input.rows)).collect::<Result<_, _>>()?;
        Ok(Output { rows: Batch { rows: input.rows, columns }, ..Output::default() })
    }
}

impl HashPii {
    fn column(&self, column: &Column, rows: usize) -> Result<Column, Error> {
        let mut pseudonyms = Blobs::with_capacity(rows);
        let mut pseudonym = Vec::new();
        for row in 0..rows {
            pseudonym.clear();
            if !column.is_null(row) {
                match &column.buffer {
                    Buffer::Utf8(blobs) | Buffer::Binary(blobs) => self.hash(blobs.get(row), &mut pseudonym),
                    Buffer::Int64s(values) => self.hash(values[row].to_string().as_bytes(), &mut pseudonym),
                    other => return Err(Error::new(format!("a column of {} was not agreed", other.data_type()))),
                }
            }
            pseudonyms.push(&pseudonym);
        }
        Ok(Column { buffer: Buffer::Utf8(pseudonyms), validity: column.validity.clone() })
    }

    fn hash(&self, value: &[u8], pseudonym: &mut Vec<u8>) {
        let hash = self.keyed.clone().chain_update(value).finalize().into_bytes();
        self.encoding.append(&hash[..self.bytes], pseudonym);
    }
}

#[cfg(test)]
mod tests;
