//! A place, and what is computed from places.

use h3o::{LatLng, Resolution};

/// The digits of a geohash.
const BASE_32: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// A place in degrees, within their ranges.
pub(crate) struct Point {
    pub(crate) lat: f64,
    pub(crate) lon: f64,
}

impl Point {
    pub(crate) fn new(lat: f64, lon: f64) -> Option<Self> {
        ((-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon)).then_some(Self { lat, lon })
    }

    /// The cell, found by halving the ranges in turn, longitude first; five halves make a character.
    pub(crate) fn geohash(&self, precision: usize) -> String {
        let (mut lat, mut lon) = ((-90.0, 90.0), (-180.0, 180.0));
        let mut bits = 0..;
        let mut character = || {
            let digit = bits.by_ref().take(5).fold(0, |digit: usize, bit: u32| {
                let (range, value) = if bit.is_multiple_of(2) { (&mut lon, self.lon) } else { (&mut lat, self.lat) };
                digit << 1 | usize::from(upper_half(range, value))
            });
            char::from(BASE_32[digit])
        };
        (0..precision).map(|_| character()).collect()
    }

    /// The index of the cell, in hexadecimal. None does not occur: the coordinates are finite.
    pub(crate) fn h3(&self, resolution: Resolution) -> Option<String> {
        let place = LatLng::new(self.lat, self.lon).ok()?;
        Some(place.to_cell(resolution).to_string())
    }
}

/// Whether the value is in the upper half of the range, which becomes the half that it is in.
fn upper_half(range: &mut (f64, f64), value: f64) -> bool {
    let middle = (range.0 + range.1) / 2.0;
    let upper = value >= middle;
    *range = if upper { (middle, range.1) } else { (range.0, middle) };
    upper
}
