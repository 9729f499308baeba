use std::str::FromStr;

/// A number of bytes, written as `512MiB` or `2GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByteSize(u64);

/// Units and how many bytes they are, the longer before those that they end in.
const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

impl ByteSize {
    pub(crate) fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unit = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
        let (number, unit) = unit.unwrap_or((text, 1));
        let bytes = number.trim_end().parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        bytes.map(Self).ok_or_else(|| "expected a size, for example `512MiB` or `2GB`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_units_of_both_kinds() {
        let check = |text: &str, expect: Option<u64>| {
            assert_eq!(text.parse::<ByteSize>().ok().map(ByteSize::bytes), expect, "{text}");
        };
        check("512MiB", Some(512 << 20));
        check("2 GiB", Some(2 << 30));
        check("2GB", Some(2_000_000_000));
        check("100B", Some(100));
        check("4096", Some(4096));
        check("0", Some(0));
        check("", None);
        check("MiB", None);
        check("-1MiB", None);
        check("1.5GiB", None);
        check("99999999TiB", None);
    }
}
