/// Strings of bytes laid end to end, as in Arrow: one more offset than there are strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blobs {
    /// Where each string begins, and at last where the last one ends.
    pub offsets: Vec<u32>,
    /// The strings, concatenated.
    pub bytes: Vec<u8>,
}

impl Default for Blobs {
    fn default() -> Self {
        Self { offsets: vec![0], bytes: Vec::new() }
    }
}

impl Blobs {
    /// These strings, one after the other.
    ///
    /// # Panics
    ///
    /// As [`Self::push`] does.
    pub fn concat(strings: &[&[u8]]) -> Self {
        let mut blobs = Self {
            offsets: Vec::with_capacity(strings.len() + 1),
            bytes: Vec::with_capacity(strings.iter().map(|bytes| bytes.len()).sum()),
        };
        blobs.offsets.push(0);
        strings.iter().for_each(|bytes| blobs.push(bytes));
        blobs
    }

    /// How many strings there are.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there is no string.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The string at `index`, which must exist.
    pub fn get(&self, index: usize) -> &[u8] {
        &self.bytes[self.offsets[index] as usize..self.offsets[index + 1] as usize]
    }

    /// Adds a string.
    ///
    /// # Panics
    ///
    /// When all strings together pass 4 GiB, which no limit on bodies, states or batches lets through.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.offsets.push(u32::try_from(self.bytes.len()).expect("a batch stays below 4 GiB"));
    }

    /// Adds all strings of another.
    ///
    /// # Panics
    ///
    /// As [`Self::push`] does.
    pub fn append(&mut self, other: &Self) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        u32::try_from(self.bytes.len()).expect("a batch stays below 4 GiB");
        self.offsets.extend(other.offsets.iter().skip(1).map(|offset| start as u32 + offset));
    }

    /// Makes room for this many more strings, of this many bytes together.
    pub fn reserve(&mut self, strings: usize, bytes: usize) {
        self.offsets.reserve(strings);
        self.bytes.reserve(bytes);
    }

    /// Keeps only the first strings, `len` of them.
    pub fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.bytes.truncate(self.offsets.last().map_or(0, |end| *end as usize));
    }

    /// The strings from `start` up to `end`.
    pub fn slice(&self, start: usize, end: usize) -> Self {
        let first = self.offsets[start];
        let offsets: Vec<u32> = self.offsets[start..=end].iter().map(|offset| offset - first).collect();
        Self { bytes: self.bytes[first as usize..self.offsets[end] as usize].to_vec(), offsets }
    }

    /// The strings in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Whether the offsets are rising numbers from 0 to the number of bytes, `len + 1` of them.
    pub fn is_well_formed(&self) -> bool {
        // Without a way out of the loop it takes many offsets at a time.
        let rising = self.offsets.windows(2).fold(true, |rising, pair| rising & (pair[0] <= pair[1]));
        rising
            && self.offsets.first() == Some(&0)
            && self.offsets.last().map(|last| *last as usize) == Some(self.bytes.len())
    }
}

impl<B: AsRef<[u8]>> FromIterator<B> for Blobs {
    fn from_iter<I: IntoIterator<Item = B>>(strings: I) -> Self {
        let mut blobs = Self::default();
        strings.into_iter().for_each(|bytes| blobs.push(bytes.as_ref()));
        blobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_and_a_whole_are_made_of_the_same_strings() {
        let whole: Blobs = ["a", "", "bcd", "é"].iter().collect();
        for (start, end) in [(0, 0), (0, 4), (1, 3), (2, 2), (4, 4)] {
            let mut parts = whole.slice(0, start);
            parts.append(&whole.slice(start, end));
            parts.append(&whole.slice(end, 4));
            assert_eq!(parts, whole, "{start}..{end}");
            assert_eq!(Blobs::concat(&parts.iter().collect::<Vec<_>>()), whole, "{start}..{end}");
            assert!(whole.slice(start, end).is_well_formed(), "{start}..{end}");
            assert_eq!(whole.slice(start, end).len(), end - start);
            let mut first = whole.clone();
            first.truncate(end);
            assert_eq!(first, whole.slice(0, end), "{end}");
        }
    }

    #[test]
    fn offsets_that_fall_or_miss_the_bytes_are_found() {
        let check = |offsets: &[u32], expect| {
            let blobs = Blobs { offsets: offsets.to_vec(), bytes: vec![0; 3] };
            assert_eq!(blobs.is_well_formed(), expect, "{offsets:?}");
        };
        check(&[0, 3], true);
        check(&[0, 2, 2, 3], true);
        check(&[0, 2, 1, 3], false);
        check(&[1, 3], false);
        check(&[0, 2], false);
        check(&[], false);
    }
}
