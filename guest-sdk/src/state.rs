//! States as bytes.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Error, Timestamp};

/// What an aggregate folds rows into, and its encoding, by `#[derive(State)]`.
///
/// The encoding is little-endian and has no tags and no padding: a struct is its fields in order; an integer is its bytes;
/// a float is its IEEE 754 bits, every NaN the canonical one; a bool is a byte, 0 or 1; text, bytes, lists, sets and maps
/// are a `u32` count and the elements, sets and maps in ascending order; an `Option` is a bool and, if true, the value; an
/// array is its elements. Equal states therefore have equal bytes, which is what a host compares and hashes. Changing a
/// state's fields is a new encoding: states that were stored can no longer be read.
///
/// Decoding never trusts the bytes: it fails rather than panics, and takes no more memory than the bytes justify.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in a state",
    note = "add `#[derive(oast_sdk::State)]` to a struct; HashMap and HashSet have no stable order, use BTreeMap and BTreeSet"
)]
pub trait State: Sized {
    /// Appends the encoding.
    fn encode(&self, bytes: &mut Vec<u8>);

    /// Takes a value off the front of the bytes.
    fn decode(bytes: &mut &[u8]) -> Result<Self, Error>;

    /// Appends the encodings of values that follow each other.
    #[doc(hidden)]
    fn encode_each(values: &[Self], bytes: &mut Vec<u8>) {
        for value in values {
            value.encode(bytes);
        }
    }

    /// Takes this many values off the front: one at a time, so that a count which promises more than there is reserves nothing,
    /// or all at once where it is known how many bytes they have.
    #[doc(hidden)]
    fn decode_each(count: usize, bytes: &mut &[u8]) -> Result<Vec<Self>, Error> {
        (0..count).map(|_| Self::decode(bytes)).collect()
    }
}

/// The encoding of a state.
pub fn to_bytes<S: State>(state: &S) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    bytes
}

/// Decodes a state from all of the bytes.
pub fn from_bytes<S: State>(mut bytes: &[u8]) -> Result<S, Error> {
    let state = S::decode(&mut bytes)?;
    if !bytes.is_empty() {
        return Err(corrupt("bytes are left over"));
    }
    Ok(state)
}

/// The error for bytes that no state has, saying what is wrong with them.
pub fn corrupt(what: &str) -> Error {
    Error::new(format!("the state is corrupt: {what}"))
}

/// Takes this many bytes off the front.
pub fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Error> {
    bytes.split_off(..count).ok_or_else(|| corrupt("it ends too soon"))
}

/// Takes this many words off the front.
fn take_words<'a, const BYTES: usize>(count: usize, bytes: &mut &'a [u8]) -> Result<&'a [[u8; BYTES]], Error> {
    let length = count.checked_mul(BYTES).ok_or_else(|| corrupt("it ends too soon"))?;
    Ok(take(bytes, length)?.as_chunks().0)
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl State for $type {
            fn encode(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }

            fn decode(bytes: &mut &[u8]) -> Result<Self, Error> {
                let (head, rest) = bytes.split_first_chunk().ok_or_else(|| corrupt("it ends too soon"))?;
                *bytes = rest;
                Ok(Self::from_le_bytes(*head))
            }

            fn encode_each(values: &[Self], bytes: &mut Vec<u8>) {
                let start = bytes.len();
                bytes.resize(start + size_of_val(values), 0);
                let (words, _) = bytes[start..].as_chunks_mut();
                for (word, value) in words.iter_mut().zip(values) {
                    *word = value.to_le_bytes();
                }
            }

            fn decode_each(count: usize, bytes: &mut &[u8]) -> Result<Vec<Self>, Error> {
                let words = take_words(count, bytes)?;
                Ok(words.iter().map(|word| Self::from_le_bytes(*word)).collect())
            }
        }
    )*};
}

integers!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128);

macro_rules! floats {
    ($($type:ty, $bits:ty, $nan:literal;)*) => {$(
        impl State for $type {
            fn encode(&self, bytes: &mut Vec<u8>) {
                let bits = if self.is_nan() { $nan } else { self.to_bits() };
                bits.encode(bytes);
            }

            fn decode(bytes: &mut &[u8]) -> Result<Self, Error> {
                <$bits>::decode(bytes).map(Self::from_bits)
            }

            fn decode_each(count: usize, bytes: &mut &[u8]) -> Result<Vec<Self>, Error> {
                let words = <$bits>::decode_each(count, bytes)?;
                Ok(words.into_iter().map(Self::from_bits).collect())
            }
        }
    )*};
}

floats! {
    f32, u32, 0x7fc0_0000;
    f64, u64, 0x7ff8_0000_0000_0000;
}

impl State for bool {
    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(*self));
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, Error> {
        match u8::decode(bytes)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(corrupt("a bool is neither 0 nor 1")),
        }
    }
}

impl State for Timestamp {
    fn encode(&self, bytes: &mut Vec<u8>) {
        self.0.encode(bytes);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, Error> {
        i64::decode(bytes).map(Self)
    }
}

impl State for String {
    fn encode(&self, bytes: &mut Vec<u8>) {
        count(self.len(), bytes);
        bytes.extend_from_slice(self.as_bytes());
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, Error> {
        let length = u32::decode(bytes)? as usize;
        let text = take(bytes, length)?.to_vec();
        Self::from_utf8(text).map_err(|_| corrupt("a text is not UTF-8"))
    }
}

impl<T: State> State for Option<T> {
    fn encode(&self, bytes: &mut Vec<u8>) {
        self.is_some().encode(bytes);
        if let Some(value) = self {
            value.encode(bytes);
        }
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, Error> {
        bool::decode(bytes)?.then(|| T::decode(bytes)).transpose()
    }
}

impl<T: State, const N: usize> State for [T; N] {
    fn encode(&self, bytes: &mut Vec<u8>) {
        T::encode_each(self, bytes);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, Error> {
        let elements = T::decode_each(N, bytes)?;
        elements.try_into().map_err(|_| corrupt("an array has the wrong length"))
    }
}

impl<A: State, B: State> State for (A, B) {
    fn encode(&self, bytes: &mut Vec<u8>) {
        self.0.encode(bytes);
        self.1.encode(bytes);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, Error> {
        Ok((A::decode(bytes)?, B::decode(bytes)?))
    }
}

impl<T: State> State for Vec<T> {
    fn encode(&self, bytes: &mut Vec<u8>) {
        count(self.len(), bytes);
        T::encode_each(self, bytes);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, Error> {
        let count = u32::decode(bytes)? as usize;
        T::decode_each(count, bytes)
    }
}

impl<T: State + Ord> State for BTreeSet<T> {
    fn encode(&self, bytes: &mut Vec<u8>) {
        count(self.len(), bytes);
        for element in self {
            element.encode(bytes);
        }
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, Error> {
        let elements = Vec::<T>::decode(bytes)?;
        ascending(&elements, |element| element)?;
        Ok(elements.into_iter().collect())
    }
}

impl<K: State + Ord, V: State> State for BTreeMap<K, V> {
    fn encode(&self, bytes: &mut Vec<u8>) {
        count(self.len(), bytes);
        for (key, value) in self {
            key.encode(bytes);
            value.encode(bytes);
        }
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, Error> {
        let entries = Vec::<(K, V)>::decode(bytes)?;
        ascending(&entries, |(key, _)| key)?;
        Ok(entries.into_iter().collect())
    }
}

fn count(count: usize, bytes: &mut Vec<u8>) {
    u32::try_from(count).expect("a guest's memory is below 4 GiB").encode(bytes);
}

fn ascending<T, K: Ord>(elements: &[T], key: impl Fn(&T) -> &K) -> Result<(), Error> {
    if elements.is_sorted_by(|a, b| key(a) < key(b)) { Ok(()) } else { Err(corrupt("keys are out of order")) }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::{from_bytes, to_bytes};
    use crate::State;

    #[derive(Debug, Clone, PartialEq, State)]
    struct Mixed {
        count: u32,
        sum: f64,
        name: Option<String>,
        tags: BTreeSet<u8>,
        weights: BTreeMap<String, i64>,
        pair: [(bool, i16); 2],
        list: Vec<Vec<u8>>,
        numbers: Vec<i32>,
        moments: [f64; 3],
    }

    fn mixed() -> impl Strategy<Value = Mixed> {
        (
            any::<(u32, f64, Option<String>)>(),
            any::<(BTreeSet<u8>, BTreeMap<String, i64>)>(),
            any::<([(bool, i16); 2], Vec<Vec<u8>>)>(),
            any::<(Vec<i32>, [i32; 3])>(),
        )
            .prop_map(|((count, sum, name), (tags, weights), (pair, list), (numbers, moments))| Mixed {
                count,
                sum: if sum.is_nan() { 0.0 } else { sum },
                name,
                tags,
                weights,
                pair,
                list,
                numbers,
                moments: moments.map(f64::from),
            })
    }

    proptest! {
        #[test]
        fn a_state_survives_its_encoding(state in mixed()) {
            prop_assert_eq!(from_bytes::<Mixed>(&to_bytes(&state)), Ok(state));
        }

        #[test]
        fn bytes_that_decode_are_the_encoding(bytes in any::<Vec<u8>>()) {
            if let Ok(state) = from_bytes::<Vec<(u8, Option<bool>)>>(&bytes) {
                prop_assert_eq!(to_bytes(&state), bytes);
            }
        }

        #[test]
        fn a_cut_state_is_an_error(state in mixed(), cut in any::<prop::sample::Index>()) {
            let bytes = to_bytes(&state);
            prop_assert!(from_bytes::<Mixed>(&bytes[..cut.index(bytes.len())]).is_err());
        }
    }

    fn check<S: State>(state: S, expect: &[u8]) {
        assert_eq!(to_bytes(&state), expect);
    }

    #[test]
    fn the_encoding_is_the_documented_one() {
        check(0x0102_u16, &[2, 1]);
        check(-1_i64, &[255; 8]);
        check(1.0_f64, &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        check(-f64::NAN, &[0, 0, 0, 0, 0, 0, 0xf8, 0x7f]);
        check("é".to_owned(), &[2, 0, 0, 0, 0xc3, 0xa9]);
        check(Some(7_u8), &[1, 7]);
        check(None::<u8>, &[0]);
        check(vec![-f64::NAN], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f]);
        check(BTreeSet::from([3_u8, 1]), &[2, 0, 0, 0, 1, 3]);
        check([(true, 5_u8)], &[1, 5]);
    }

    #[test]
    fn what_no_state_encodes_to_is_an_error() {
        let error = |bytes| from_bytes::<BTreeSet<u8>>(bytes).expect_err("it is corrupt").to_string();
        assert_eq!(error(&[2, 0, 0, 0, 3, 1]), "the state is corrupt: keys are out of order");
        assert_eq!(error(&[1, 0, 0, 0, 3, 1]), "the state is corrupt: bytes are left over");
        assert_eq!(error(&[255, 255, 255, 255, 3]), "the state is corrupt: it ends too soon");
        assert_eq!(
            from_bytes::<Vec<u64>>(&[255; 20]).expect_err("it is cut").to_string(),
            "the state is corrupt: it ends too soon"
        );
        let error = from_bytes::<bool>(&[2]).expect_err("it is corrupt");
        assert_eq!(error.to_string(), "the state is corrupt: a bool is neither 0 nor 1");
    }
}
