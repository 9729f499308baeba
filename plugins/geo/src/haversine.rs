//! Distances along great circles.

use oast_sdk::math::{asin, cos, sin};
use oast_sdk::{Column, Value};

use crate::point::Point;

/// The mean radius (2 a + b) / 3 of the ellipsoid: Moritz, *Geodetic Reference System 1980*, Journal of Geodesy 74
/// (2000).
const EARTH_RADIUS_KM: f64 = 6371.0088;

/// How many pairs of places go through one function before the next.
const CHUNK: usize = 16;

/// The distance of each pair of places, or null where there is none.
///
/// Each function is called in one place, so that it becomes part of the loop around it: at a call, a component writes the fuel
/// that it has consumed to memory and reads it back.
#[inline(never)]
pub(crate) fn distances_km(rows: usize, pair: impl Fn(usize) -> Option<(Point, Point)>) -> Column {
    let mut distances = Option::<f64>::writer(rows);
    for start in (0..rows).step_by(CHUNK) {
        let chunk = start..rows.min(start + CHUNK);
        let mut halves = [[0.0; 2]; CHUNK];
        let mut latitudes = [[0.0; 2]; CHUNK];
        let mut known = [false; CHUNK];
        for (at, row) in chunk.clone().enumerate() {
            if let Some((from, to)) = pair(row) {
                let (lat1, lat2) = (from.lat.to_radians(), to.lat.to_radians());
                halves[at] = [(lat2 - lat1) / 2.0, (to.lon - from.lon).to_radians() / 2.0];
                latitudes[at] = [lat1, lat2];
                known[at] = true;
            }
        }
        halves[..chunk.len()].as_flattened_mut().iter_mut().for_each(|half| *half = sin(*half));
        latitudes[..chunk.len()].as_flattened_mut().iter_mut().for_each(|latitude| *latitude = cos(*latitude));
        let mut slots = Option::<f64>::slots(&mut distances, chunk.clone());
        for at in 0..chunk.len() {
            let ([half_lat, half_lon], [cos_lat1, cos_lat2]) = (halves[at], latitudes[at]);
            let haversine = half_lat * half_lat + cos_lat1 * cos_lat2 * half_lon * half_lon;
            let distance = 2.0 * EARTH_RADIUS_KM * asin(haversine.sqrt().min(1.0));
            known[at].then_some(distance).write(&mut slots, at);
        }
    }
    Option::<f64>::finish(distances)
}
