//! The standard plugin `geo`.

use h3o::Resolution;
use oast_sdk::{
    Batch, BatchTransform, Buffer, Column, DataType, Error, Field, Output, Param, Params, Schemas, Value,
    batch_transform,
};

mod haversine;
mod point;

use haversine::distances_km;
use point::Point;

/// Places on the Earth, in degrees of latitude (-90 to 90) and longitude (-180 to 180).
///
/// - `"haversine"` takes four columns, latitude and longitude of one place and of another, and gives their distance
///   along the great circle: `distance_km = 2 R asin(sqrt(sin((lat2 - lat1) / 2)^2 + cos(lat1) cos(lat2) sin((lon2 -
///   lon1) / 2)^2))` with the mean radius R = 6371.0088 km of the IUGG: Sinnott, *Virtues of the Haversine*, Sky and
///   Telescope 68 (1984). The Earth is no sphere, so it is off by up to 0.6 %.
/// - `"geohash"` takes two columns and gives the geohash of Niemeyer (2008), `precision` characters of base 32: cells
///   of about 1.2 km by 0.6 km for 6, of 5 m for 9. Places in one cell have one geohash, and a shorter one contains a
///   longer that begins with it.
///
/// - `"h3"` takes two columns and gives the cell of H3, Uber's grid of hexagons of nearly equal area, at a `resolution`
///   (h3geo.org): about 0.74 km² for 8, 0.1 km² for 9. It is the index in hexadecimal, as the libraries of H3 write it.
///
/// The result is null when a coordinate is null or out of range.
#[batch_transform]
#[derive(Debug)]
pub struct Geo {
    operation: Operation,
}

/// The parameters of [`Geo`].
#[derive(Debug, Params)]
pub struct Settings {
    /// What to compute.
    op: Name,
    /// For `"geohash"`: how many characters; 6 when absent.
    #[param(range = 1..=12, example = 6)]
    precision: Option<u32>,
    /// For `"h3"`: how fine the grid is; 8 when absent.
    #[param(range = 0..=15, example = 8)]
    resolution: Option<u32>,
}

/// The name of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Param)]
pub enum Name {
    /// The distance of two places.
    Haversine,
    /// The geohash of a place.
    Geohash,
    /// The H3 cell of a place.
    H3,
}

impl BatchTransform for Geo {
    type Params = Settings;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let (names, output): (&[&str], _) = match settings.op {
            Name::Haversine => (&["lat1", "lon1", "lat2", "lon2"], Field::new("distance_km", DataType::Float64)),
            Name::Geohash => (&["lat", "lon"], Field::new("geohash", DataType::Utf8)),
            Name::H3 => (&["lat", "lon"], Field::new("cell", DataType::Utf8)),
        };
        let operation = Operation::new(&settings)?;
        if offered.len() != names.len() {
            return Err(Error::new(format!(
                "expected {} columns, for example `input = {names:?}`, got {}",
                names.len(),
                offered.len()
            )));
        }
        if let Some(other) =
            offered.iter().find(|field| !matches!(field.data_type, DataType::Float64 | DataType::Int64))
        {
            return Err(Error::new(format!("expected columns of float64 or int64, in degrees, got {other}")));
        }
        let input = offered.iter().map(|field| field.clone().nullable()).collect();
        Ok((Self { operation }, Schemas { input, output: vec![output.nullable()] }))
    }

    fn apply(&self, mut input: Batch) -> Result<Output, Error> {
        input.columns.iter_mut().for_each(widen);
        let degrees = input.columns.iter().map(Option::<f64>::reader).collect::<Result<Vec<_>, _>>()?;
        let place = |columns: &[Degrees<'_>], row: usize| {
            Point::new(Option::<f64>::read(&columns[0], row)?, Option::<f64>::read(&columns[1], row)?)
        };
        let column = match (self.operation, degrees.len()) {
            (Operation::Haversine, 4) => {
                let (from, to) = degrees.split_at(2);
                distances_km(input.rows, |row| place(from, row).zip(place(to, row)))
            }
            (Operation::Geohash(precision), 2) => {
                texts((0..input.rows).map(|row| Some(place(&degrees, row)?.geohash(precision))))
            }
            (Operation::H3(resolution), 2) => texts((0..input.rows).map(|row| place(&degrees, row)?.h3(resolution))),
            (_, columns) => return Err(Error::new(format!("{columns} columns were not agreed"))),
        };
        Ok(Output { rows: Batch { rows: input.rows, columns: vec![column] }, ..Output::default() })
    }
}

type Degrees<'a> = <Option<f64> as Value<'a>>::Reader;

/// What to compute, and how fine.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Haversine,
    Geohash(usize),
    H3(Resolution),
}

impl Operation {
    fn new(settings: &Settings) -> Result<Self, Error> {
        let others = [
            ("precision", settings.precision.filter(|_| settings.op != Name::Geohash)),
            ("resolution", settings.resolution.filter(|_| settings.op != Name::H3)),
        ];
        if let Some((name, number)) = others.into_iter().find_map(|(name, number)| Some((name, number?))) {
            return Err(Error::new(format!(
                "parameter `{name}`: expected nothing beside this `op`, for example `{{\"op\":\"haversine\"}}`, got \
                 `{number}`"
            )));
        }
        Ok(match settings.op {
            Name::Haversine => Self::Haversine,
            Name::Geohash => Self::Geohash(settings.precision.unwrap_or(6) as usize),
            Name::H3 => Self::H3(resolution(settings.resolution.unwrap_or(8))?),
        })
    }
}

fn resolution(number: u32) -> Result<Resolution, Error> {
    let resolution = u8::try_from(number).ok().and_then(|number| Resolution::try_from(number).ok());
    resolution.ok_or_else(|| Error::new(format!("parameter `resolution`: H3 has none of {number}")))
}

fn widen(column: &mut Column) {
    if let Buffer::Int64s(values) = &column.buffer {
        column.buffer = Buffer::Float64s(values.iter().map(|value| *value as f64).collect());
    }
}

fn texts(values: impl ExactSizeIterator<Item = Option<String>>) -> Column {
    let mut writer = Option::<String>::writer(values.len());
    let rows = 0..values.len();
    let mut slots = Option::<String>::slots(&mut writer, rows.clone());
    rows.zip(values).for_each(|(row, value)| value.write(&mut slots, row));
    Option::<String>::finish(writer)
}

#[cfg(test)]
mod tests;
