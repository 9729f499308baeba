//! The standard plugin `geo`.

use oast_sdk::{
    Batch, BatchTransform, Blobs, Buffer, Column, DataType, Error, Field, Json, Output, Param, Params, Schemas,
    batch_transform,
};

mod point;

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
/// The result is null when a coordinate is null or out of range. Cells of nearly equal area, as H3 has them, are
/// left out.
#[batch_transform]
#[derive(Debug)]
pub struct Geo {
    operation: Operation,
    precision: usize,
}

/// The parameters of [`Geo`].
#[derive(Debug, Params)]
pub struct Settings {
    /// What to compute.
    op: Operation,
    /// For `"geohash"`: how many characters, from 1 to 12; 6 when absent.
    precision: Option<u32>,
}

/// What to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The distance of two places.
    Haversine,
    /// The cell of a place.
    Geohash,
}

impl Param for Operation {
    const EXPECTED: &'static str = "\"haversine\" or \"geohash\"";
    const EXAMPLE: &'static str = "\"haversine\"";

    fn from_json(json: &Json) -> Option<Self> {
        match json.as_str()? {
            "haversine" => Some(Self::Haversine),
            "geohash" => Some(Self::Geohash),
            _ => None,
        }
    }
}

impl BatchTransform for Geo {
    type Params = Settings;

    fn configure(settings: Settings, offered: &[Field]) -> Result<(Self, Schemas), Error> {
        let (names, output): (&[&str], _) = match settings.op {
            Operation::Haversine => (&["lat1", "lon1", "lat2", "lon2"], Field::new("distance_km", DataType::Float64)),
            Operation::Geohash => (&["lat", "lon"], Field::new("geohash", DataType::Utf8)),
        };
        let precision = precision(&settings)?;
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
        Ok((Self { operation: settings.op, precision }, Schemas { input, output: vec![output.nullable()] }))
    }

    fn apply(&self, input: Batch) -> Result<Output, Error> {
        let degrees = input.columns.iter().map(degrees).collect::<Result<Vec<_>, _>>()?;
        let [lat, lon, rest @ ..] = degrees.as_slice() else { return Err(Error::new("two columns were agreed")) };
        let place = |lat: &[Option<f64>], lon: &[Option<f64>], row: usize| Point::new(lat[row]?, lon[row]?);
        let column = match (self.operation, rest) {
            (Operation::Haversine, [lat2, lon2]) => {
                let distance = |row| Some(place(lat, lon, row)?.distance_km(&place(lat2, lon2, row)?));
                floats((0..input.rows).map(distance).collect())
            }
            _ => texts((0..input.rows).map(|row| Some(place(lat, lon, row)?.geohash(self.precision))).collect()),
        };
        Ok(Output { rows: Batch { rows: input.rows, columns: vec![column] }, ..Output::default() })
    }
}

fn precision(settings: &Settings) -> Result<usize, Error> {
    match (settings.op, settings.precision) {
        (Operation::Geohash, None) => Ok(6),
        (Operation::Geohash, Some(precision)) if (1..=12).contains(&precision) => Ok(precision as usize),
        (Operation::Geohash, Some(precision)) => Err(Error::new(format!(
            "parameter `precision`: expected an integer from 1 to 12, for example `6`, got `{precision}`"
        ))),
        (Operation::Haversine, None) => Ok(0),
        (Operation::Haversine, Some(precision)) => Err(Error::new(format!(
            "parameter `precision`: expected nothing beside this `op`, for example `{{\"op\":\"haversine\"}}`, got \
             `{precision}`"
        ))),
    }
}

fn degrees(column: &Column) -> Result<Vec<Option<f64>>, Error> {
    let valid = |row: usize, value: f64| (!column.is_null(row)).then_some(value);
    Ok(match &column.buffer {
        Buffer::Float64s(values) => values.iter().enumerate().map(|(row, value)| valid(row, *value)).collect(),
        Buffer::Int64s(values) => values.iter().enumerate().map(|(row, value)| valid(row, *value as f64)).collect(),
        other => return Err(Error::new(format!("a column of {} was not agreed", other.data_type()))),
    })
}

fn floats(values: Vec<Option<f64>>) -> Column {
    let validity = values.contains(&None).then(|| values.iter().map(|value| value.is_some().into()).collect());
    Column { buffer: Buffer::Float64s(values.into_iter().map(Option::unwrap_or_default).collect()), validity }
}

fn texts(values: Vec<Option<String>>) -> Column {
    let validity = values.contains(&None).then(|| values.iter().map(|value| value.is_some().into()).collect());
    let mut blobs = Blobs::with_capacity(values.len());
    values.iter().for_each(|value| blobs.push(value.as_deref().unwrap_or_default().as_bytes()));
    Column { buffer: Buffer::Utf8(blobs), validity }
}

#[cfg(test)]
mod tests;
