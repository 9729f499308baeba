//! Writes the components that the end-to-end tests run: `cargo run -p oast-generate` in `tests/fuzz`.

use std::{fs, path::Path};

use arbitrary::Unstructured;

/// How many of each kind.
const TRANSFORMS: u64 = 200;
const COMPONENTS: u64 = 50;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/generated");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("transforms.bin"), collect(TRANSFORMS, oast_generate::transform))?;
    fs::write(folder.join("components.bin"), collect(COMPONENTS, oast_generate::component))
}

/// So many components one after the other, each after its length in four bytes.
fn collect(count: u64, make: fn(&mut Unstructured<'_>) -> Option<Vec<u8>>) -> Vec<u8> {
    let made = (1_u64..).filter_map(|seed| make(&mut Unstructured::new(&noise(seed, 4096))));
    let framed =
        made.take(count as usize).flat_map(|bytes| [(bytes.len() as u32).to_le_bytes().to_vec(), bytes].concat());
    framed.collect()
}

/// Bytes without a pattern, the same for a seed on every machine.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}
