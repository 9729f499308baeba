use std::{fmt, str::FromStr};

/// A string that is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a hash: expected 64 lower-case hexadecimal digits")]
pub struct HashParseError {
    text: String,
}

/// Defines one kind of BLAKE3 hash, with the context string that keeps its values apart from those of every other kind.
macro_rules! hash_kind {
    ($(#[$doc:meta])* $name:ident, $context:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The context string that separates this kind of hash from the others.
            pub const CONTEXT: &'static str = $context;

            /// Hashes the exact bytes.
            pub fn of(bytes: &[u8]) -> Self {
                let mut hasher = Self::hasher();
                hasher.update(bytes);
                Self::finish(&hasher)
            }

            /// A hasher of this kind, for bytes that arrive in pieces; [`Self::finish`] ends it.
            pub fn hasher() -> blake3::Hasher {
                blake3::Hasher::new_derive_key(Self::CONTEXT)
            }

            /// The hash of what `hasher`, made by [`Self::hasher`], has seen.
            pub fn finish(hasher: &blake3::Hasher) -> Self {
                Self(*hasher.finalize().as_bytes())
            }

            /// The 32 bytes of the hash.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first 12 digits, enough to tell versions apart on a screen.
            pub fn short(&self) -> String {
                self.to_string()[..12].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt_hex(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = HashParseError;

            fn from_str(text: &str) -> Result<Self, HashParseError> {
                parse_hex(text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hash_kind!(
    /// Identifies a component: the hash of its exact bytes.
    ComponentHash,
    "oast 2026 component hash v1"
);
hash_kind!(
    /// Identifies a transform: component, package version, canonical parameters, bindings, schemas and limits.
    TransformHash,
    "oast 2026 transform hash v1"
);
hash_kind!(
    /// Identifies everything that decides the values of a feature view.
    ViewVersion,
    "oast 2026 view version v1"
);
hash_kind!(
    /// Identifies everything that decides the values of a feature service.
    ServiceVersion,
    "oast 2026 service version v1"
);
hash_kind!(
    /// Identifies all that could make two hosts disagree on a result.
    EngineFingerprint,
    "oast 2026 engine fingerprint v1"
);
hash_kind!(
    /// Identifies the schema and values of a dataset in spine order, whatever file they are in.
    DatasetHash,
    "oast 2026 dataset hash v1"
);
hash_kind!(
    /// Identifies the schema and values of a spine as it was read.
    SpineHash,
    "oast 2026 spine hash v1"
);
hash_kind!(
    /// Identifies a segment of the event log: the hash of its exact bytes.
    SegmentHash,
    "oast 2026 segment hash v1"
);
hash_kind!(
    /// A link of the chain over sealed segments: it covers a seal and the link before it.
    ChainHash,
    "oast 2026 segment chain v1"
);
hash_kind!(
    /// Identifies the entities and request fields of one lookup.
    RequestDigest,
    "oast 2026 request digest v1"
);
hash_kind!(
    /// Identifies the values that one lookup returned.
    OutputHash,
    "oast 2026 output hash v1"
);
hash_kind!(
    /// Identifies a receipt: everything that it says of one lookup.
    ReceiptHash,
    "oast 2026 receipt hash v1"
);

fn fmt_hex(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn parse_hex(text: &str) -> Result<[u8; 32], HashParseError> {
    let error = || HashParseError { text: text.to_owned() };
    let digit = |c: u8| match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        _ => Err(error()),
    };
    let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| error())?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_survives_its_text() {
        let hash = ComponentHash::of(b"kiln");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!(hash.short(), hash.to_string()[..12]);
    }

    #[test]
    fn kinds_do_not_collide() {
        assert_ne!(ComponentHash::of(b"kiln").as_bytes(), SegmentHash::of(b"kiln").as_bytes());
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "00", &"G".repeat(64), &"A".repeat(64), &"a".repeat(65)] {
            assert_eq!(text.parse::<ComponentHash>(), Err(HashParseError { text: text.to_owned() }));
        }
    }
}
