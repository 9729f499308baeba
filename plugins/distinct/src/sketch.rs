//! HyperLogLog++ in its sparse and dense forms.

use oast_sdk::{Error, State, state};

/// The precision of the sparse form.
const SPARSE_PRECISION: u32 = 25;

/// A sparse entry is an index of 25 bits and a rank of 6.
const RANK_BITS: u32 = 6;
const RANK_MASK: u32 = (1 << RANK_BITS) - 1;

/// The registers that a set of hashes leaves behind.
///
/// The encoding of no hashes is no bytes. Otherwise a first byte tells the form. 1: the entries of the sparse form, each a
/// little-endian `u32` with the index in its upper 26 bits and the rank in its lower 6, by ascending index. 2: the
/// registers of the dense form, four to three bytes, the first in the lowest bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sketch {
    /// The highest rank of each index of 25 bits that has occurred, by ascending index.
    Sparse(Vec<u32>),
    /// The highest rank of each index of `precision` bits, 0 for an index that has not occurred.
    Dense(Vec<u8>),
}

impl Default for Sketch {
    fn default() -> Self {
        Self::Sparse(Vec::new())
    }
}

impl Sketch {
    /// Takes in hashes.
    pub fn insert(&mut self, hashes: impl Iterator<Item = u64>, precision: u32) -> Result<(), Error> {
        match self {
            Self::Sparse(entries) => {
                let mut others: Vec<u32> = hashes.map(sparse_entry).collect();
                others.sort_unstable();
                merge_sorted(entries, &others);
                self.settle(precision);
            }
            Self::Dense(registers) => {
                check_size(registers, precision)?;
                for hash in hashes {
                    raise(registers, index(hash, precision), rank(hash, precision));
                }
            }
        }
        Ok(())
    }

    /// Takes in another sketch.
    pub fn merge(&mut self, other: Self, precision: u32) -> Result<(), Error> {
        match (&mut *self, other) {
            (Self::Sparse(entries), Self::Sparse(mut others)) => {
                if entries.len() < others.len() {
                    std::mem::swap(entries, &mut others);
                }
                merge_sorted(entries, &others);
                self.settle(precision);
            }
            (Self::Dense(registers), Self::Sparse(entries)) => {
                check_size(registers, precision)?;
                raise_all(registers, &entries, precision);
            }
            (Self::Sparse(entries), Self::Dense(mut registers)) => {
                check_size(&registers, precision)?;
                raise_all(&mut registers, entries, precision);
                *self = Self::Dense(registers);
            }
            (Self::Dense(registers), Self::Dense(others)) => {
                check_size(registers, precision)?;
                check_size(&others, precision)?;
                for (index, rank) in others.into_iter().enumerate() {
                    raise(registers, index, rank);
                }
            }
        }
        Ok(())
    }

    /// Goes over to the dense form when that is smaller. Only the number of different entries decides, which is a property
    /// of the set and not of the way that led to it.
    fn settle(&mut self, precision: u32) {
        let Self::Sparse(entries) = self else { return };
        if entries.len() * size_of::<u32>() > packed_bytes(1 << precision) {
            let mut registers = vec![0; 1 << precision];
            raise_all(&mut registers, entries, precision);
            *self = Self::Dense(registers);
        }
    }

    /// The number of different hashes, estimated.
    pub fn count(&self, precision: u32) -> Result<i64, Error> {
        let (precision, ranks): (u32, Vec<u8>) = match self {
            Self::Sparse(entries) => {
                let rank = |entry: &u32| (entry & RANK_MASK) as u8;
                (SPARSE_PRECISION, entries.iter().map(rank).collect())
            }
            Self::Dense(registers) => {
                check_size(registers, precision)?;
                (precision, registers.clone())
            }
        };
        Ok(estimate(&ranks, precision).round() as i64)
    }
}

/// The first `precision` bits of a hash.
fn index(hash: u64, precision: u32) -> usize {
    (hash >> (u64::BITS - precision)) as usize
}

/// The place of the first 1 among the other bits, counted from 1; one past the end when there is none.
fn rank(hash: u64, precision: u32) -> u8 {
    let zeros = (hash << precision).leading_zeros();
    (zeros.min(u64::BITS - precision) + 1) as u8
}

fn sparse_entry(hash: u64) -> u32 {
    let index = index(hash, SPARSE_PRECISION) as u32;
    (index << RANK_BITS) | u32::from(rank(hash, SPARSE_PRECISION))
}

/// Merges sorted entries, of which several may have one index, into sorted entries of different indexes; the highest rank of
/// an index stays. What lies between two new entries is moved in one piece, so that adding few to many is cheap.
fn merge_sorted(entries: &mut Vec<u32>, others: &[u32]) {
    let mut fresh: Vec<(usize, u32)> = Vec::with_capacity(others.len());
    let mut place = 0;
    for other in others {
        let index = other >> RANK_BITS;
        place += entries[place..].partition_point(|entry| entry >> RANK_BITS < index);
        match (entries.get_mut(place), fresh.last_mut()) {
            (Some(entry), _) if *entry >> RANK_BITS == index => *entry = (*entry).max(*other),
            (_, Some((_, last))) if *last >> RANK_BITS == index => *last = (*last).max(*other),
            _ => fresh.push((place, *other)),
        }
    }
    let mut end = entries.len();
    entries.resize(end + fresh.len(), 0);
    for (before, (place, entry)) in fresh.iter().enumerate().rev() {
        entries.copy_within(*place..end, place + before + 1);
        entries[place + before] = *entry;
        end = *place;
    }
}

/// Index and rank at a lower precision: what the hash itself would have given.
fn lower(entry: u32, precision: u32) -> (usize, u8) {
    let (fine, rank) = (entry >> RANK_BITS, entry & RANK_MASK);
    let spare = SPARSE_PRECISION - precision;
    let rest = fine & ((1 << spare) - 1);
    let rank = if rest == 0 { spare + rank } else { spare - rest.ilog2() };
    ((fine >> spare) as usize, rank as u8)
}

fn raise(registers: &mut [u8], index: usize, rank: u8) {
    registers[index] = registers[index].max(rank);
}

fn raise_all(registers: &mut [u8], entries: &[u32], precision: u32) {
    for entry in entries {
        let (index, rank) = lower(*entry, precision);
        raise(registers, index, rank);
    }
}

fn check_size(registers: &[u8], precision: u32) -> Result<(), Error> {
    if registers.len() == 1 << precision { Ok(()) } else { Err(state::corrupt("it has another precision")) }
}

/// Ertl's improved estimator, algorithm 6. Registers that are not given are 0. It uses no function but the square root,
/// which IEEE 754 rounds exactly.
fn estimate(ranks: &[u8], precision: u32) -> f64 {
    let q = (u64::BITS - precision) as usize;
    let m = (1_u64 << precision) as f64;
    let mut counts = [0_u32; u64::BITS as usize];
    for rank in ranks {
        counts[*rank as usize] += 1;
    }
    let given = ranks.len() as f64 - f64::from(counts[0]);
    let mut z = m * tau(1.0 - f64::from(counts[q + 1]) / m);
    for count in counts[1..=q].iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += m * sigma((m - given) / m);
    m * m / (2.0 * std::f64::consts::LN_2 * z)
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// How many bytes this many registers take.
fn packed_bytes(registers: usize) -> usize {
    registers / 4 * 3
}

impl State for Sketch {
    fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Sparse(entries) if entries.is_empty() => {}
            Self::Sparse(entries) => {
                bytes.push(1);
                entries.iter().for_each(|entry| entry.encode(bytes));
            }
            Self::Dense(registers) => {
                bytes.push(2);
                for four in registers.chunks_exact(4) {
                    let packed = (four.iter().rev()).fold(0, |packed, rank| (packed << RANK_BITS) | u32::from(*rank));
                    bytes.extend_from_slice(&packed.to_le_bytes()[..3]);
                }
            }
        }
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let form = u8::decode(bytes)?;
        let body = state::take(bytes, bytes.len())?;
        match form {
            1 => decode_sparse(body),
            2 => decode_dense(body),
            _ => Err(state::corrupt("a sketch has another form")),
        }
    }
}

fn decode_sparse(body: &[u8]) -> Result<Sketch, Error> {
    let (words, rest) = body.as_chunks::<4>();
    let entries: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let rank_max = u64::BITS - SPARSE_PRECISION + 1;
    let valid =
        |entry: &u32| entry >> RANK_BITS < 1 << SPARSE_PRECISION && (1..=rank_max).contains(&(entry & RANK_MASK));
    let ascending = entries.is_sorted_by(|a, b| a >> RANK_BITS < b >> RANK_BITS);
    if entries.is_empty() || !rest.is_empty() || !ascending || !entries.iter().all(valid) {
        return Err(state::corrupt("the entries of a sketch are out of order"));
    }
    Ok(Sketch::Sparse(entries))
}

fn decode_dense(body: &[u8]) -> Result<Sketch, Error> {
    let (threes, rest) = body.as_chunks::<3>();
    let registers: Vec<u8> = threes
        .iter()
        .flat_map(|&[a, b, c]| {
            let packed = u32::from_le_bytes([a, b, c, 0]);
            (0..4).map(move |place| ((packed >> (place * RANK_BITS)) & RANK_MASK) as u8)
        })
        .collect();
    // A register of 2^p has ranks up to 64 - p + 1.
    let rank_max = (u64::BITS + 1).saturating_sub(registers.len().checked_ilog2().unwrap_or(u64::BITS));
    if !rest.is_empty()
        || !registers.len().is_power_of_two()
        || registers.iter().any(|rank| u32::from(*rank) > rank_max)
    {
        return Err(state::corrupt("the registers of a sketch are out of range"));
    }
    Ok(Sketch::Dense(registers))
}
