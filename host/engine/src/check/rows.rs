//! Rows of a schema, made up so that they go where plugins break: first the edges of each type, then ordinary rows and edges
//! mixed. The same seed gives the same rows on every machine.

use oast_core::{Batch, ColumnBuilder, DataType, Field, Schema, Timestamp, Value};

/// A row of a batch that is being made up.
type Row = Vec<Option<Value>>;

/// Where the times of ordinary rows begin: 1 January 2020.
const FIRST_TIME_US: i64 = 1_577_836_800_000_000;

/// The column whose values the host keeps in the range in which windows can be laid.
const EVENT_TIME: &str = "event_time";

/// Makes rows up.
pub(super) struct Generator<'s> {
    schema: &'s Schema,
    random: SplitMix,
    /// The time of the last ordinary row; they are in order of time, as events are.
    time_us: i64,
}

impl<'s> Generator<'s> {
    pub(super) fn new(schema: &'s Schema, seed: &[u8; 32]) -> Self {
        let (first, _) = seed.split_first_chunk().expect("a hash has more than eight bytes");
        Self { schema, random: SplitMix(u64::from_le_bytes(*first)), time_us: FIRST_TIME_US }
    }

    /// This many rows, the edges first.
    pub(super) fn rows(&mut self, count: usize) -> Batch {
        let mut rows = vec![self.row_of(|field, _| if field.nullable { None } else { Some(zero(field.data_type)) })];
        rows.push(self.row_of(|field, _| Some(zero(field.data_type))));
        rows.extend(self.diagonals());
        for at in 0..self.schema.len() {
            rows.extend(self.one_column_at_its_edges(at, rows.len() < count));
        }
        while rows.len() < count {
            let row = if rows.len() % 3 == 0 { self.ordinary_row() } else { self.mixed_row() };
            rows.push(row);
        }
        rows.truncate(count);
        batch_of(self.schema, &rows)
    }

    /// Rows without edges, in order of time.
    pub(super) fn ordinary(&mut self, count: usize) -> Batch {
        let rows: Vec<Row> = (0..count).map(|_| self.ordinary_row()).collect();
        batch_of(self.schema, &rows)
    }

    fn row_of(&mut self, mut value: impl FnMut(&Field, &mut SplitMix) -> Option<Value>) -> Row {
        let random = &mut self.random;
        self.schema.fields().iter().map(|field| value(field, random)).collect()
    }

    /// Every column at every one of its edges, in as few rows as that takes.
    fn diagonals(&mut self) -> Vec<Row> {
        let edges: Vec<Vec<Value>> = self.schema.fields().iter().map(edges).collect();
        let longest = edges.iter().map(Vec::len).max().unwrap_or(0);
        let value = |row: usize, (at, edges): (usize, &Vec<Value>)| Some(edges[(row + at) % edges.len()].clone());
        (0..longest).map(|row| edges.iter().enumerate().map(|each| value(row, each)).collect()).collect()
    }

    /// One column null and at each of its edges, among ordinary values.
    fn one_column_at_its_edges(&mut self, at: usize, wanted: bool) -> Vec<Row> {
        if !wanted {
            return Vec::new();
        }
        let field = &self.schema.fields()[at];
        let null = field.nullable.then_some(None);
        let values = null.into_iter().chain(edges(field).into_iter().map(Some));
        let with = |value: Option<Value>| {
            let mut row = self.ordinary_row();
            row[at] = value;
            row
        };
        values.map(with).collect()
    }

    fn mixed_row(&mut self) -> Row {
        let mut row = self.ordinary_row();
        for (at, field) in self.schema.fields().iter().enumerate() {
            match self.random.below(8) {
                0 if field.nullable => row[at] = None,
                1 | 2 => {
                    let edges = edges(field);
                    row[at] = Some(edges[self.random.below(edges.len() as u64) as usize].clone());
                }
                _ => {}
            }
        }
        row
    }

    fn ordinary_row(&mut self) -> Row {
        self.time_us += 1 + self.random.below(600_000_000) as i64;
        let time_us = self.time_us;
        self.row_of(|field, random| {
            let is_null = field.nullable && random.below(10) == 0;
            (!is_null).then(|| ordinary(field.data_type, time_us, random))
        })
    }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (SplitMix64).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// The numbers from 0 up to `count` in another order, which the seed decides.
pub(super) fn permutation(count: usize, seed: &[u8; 32]) -> Vec<u32> {
    let (_, last) = seed.split_last_chunk().expect("a hash has more than eight bytes");
    let mut random = SplitMix(u64::from_le_bytes(*last));
    let mut order: Vec<u32> = (0..count as u32).collect();
    for at in (1..count).rev() {
        order.swap(at, random.below(at as u64 + 1) as usize);
    }
    order
}

fn zero(data_type: DataType) -> Value {
    match data_type {
        DataType::Bool => Value::Bool(false),
        DataType::Int64 => Value::Int64(0),
        DataType::Float64 => Value::Float64(0.0),
        DataType::Utf8 => Value::Utf8(String::new()),
        DataType::Binary => Value::Binary(Vec::new()),
        DataType::Timestamp => Value::Timestamp(Timestamp::from_micros(0)),
        DataType::Vector(width) => Value::Vector(vec![0.0; width as usize]),
    }
}

fn ordinary(data_type: DataType, time_us: i64, random: &mut SplitMix) -> Value {
    let number = |random: &mut SplitMix| random.below(2_000_000) as f64 / 1000.0 - 1000.0;
    match data_type {
        DataType::Bool => Value::Bool(random.below(2) == 1),
        DataType::Int64 => Value::Int64(random.below(2000) as i64 - 500),
        DataType::Float64 => Value::Float64(number(random)),
        DataType::Utf8 => Value::Utf8(format!("k{}", random.below(40))),
        DataType::Binary => Value::Binary(random.below(1000).to_le_bytes()[..2].to_vec()),
        DataType::Timestamp => Value::Timestamp(Timestamp::from_micros(time_us)),
        DataType::Vector(width) => Value::Vector((0..width).map(|_| (number(random) / 1000.0) as f32).collect()),
    }
}

/// The values of a type on which plugins break.
fn edges(field: &Field) -> Vec<Value> {
    match field.data_type {
        DataType::Bool => [true, false].map(Value::Bool).to_vec(),
        DataType::Int64 => {
            [i64::MAX, i64::MIN, -1, 0, 1, (1 << 53) + 1, -(1 << 53) - 1, i64::MIN + 1].map(Value::Int64).to_vec()
        }
        DataType::Float64 => FLOATS.map(Value::Float64).to_vec(),
        DataType::Utf8 => texts().into_iter().map(Value::Utf8).collect(),
        DataType::Binary => {
            vec![vec![], vec![0], vec![0xff; 3], b"text".to_vec(), (0..=255).cycle().take(1000).collect()]
                .into_iter()
                .map(Value::Binary)
                .collect()
        }
        DataType::Timestamp => times(field).into_iter().map(Timestamp::from_micros).map(Value::Timestamp).collect(),
        DataType::Vector(width) => vectors(width as usize).into_iter().map(Value::Vector).collect(),
    }
}

const FLOATS: [f64; 16] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    -0.0,
    0.0,
    f64::MAX,
    f64::MIN,
    f64::MIN_POSITIVE,
    5e-324,
    -5e-324,
    1.0,
    -1.0,
    0.1,
    1e-300,
    9_007_199_254_740_993.0,
    f64::EPSILON,
];

fn texts() -> Vec<String> {
    let short =
        ["", " ", "a", "A", "null", "NaN", "-1.5e3", "0", "née", "日本語", "👩‍🌾", "e\u{301}", "\u{0}", "a\tb\n\"c\\"];
    let mut texts: Vec<String> = short.map(str::to_owned).to_vec();
    texts.push("x".repeat(1000));
    texts.push("🏳️".repeat(100));
    texts
}

/// Any microsecond there is, but for the event time, which the host keeps in the range in which windows can be laid.
fn times(field: &Field) -> Vec<i64> {
    let mut times = vec![0, 1, -1, FIRST_TIME_US, 1 << 62, -(1 << 62), 86_400_000_000, -62_135_596_800_000_000];
    if field.name != EVENT_TIME {
        times.extend([i64::MAX, i64::MIN]);
    }
    times
}

fn vectors(width: usize) -> Vec<Vec<f32>> {
    let mut vectors: Vec<Vec<f32>> = [0.0, -0.0, 1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e-45]
        .map(|value| vec![value; width])
        .to_vec();
    let mut unit = vec![0.0; width];
    unit[0] = 1.0;
    vectors.push(unit);
    vectors.push((0..width).map(|at| if at % 2 == 0 { f32::MAX } else { f32::MIN }).collect());
    vectors
}

fn batch_of(schema: &Schema, rows: &[Row]) -> Batch {
    let column = |(at, field): (usize, &Field)| {
        let mut builder = ColumnBuilder::new(field.data_type);
        rows.iter().for_each(|row| builder.push(row[at].as_ref()));
        builder.finish()
    };
    Batch { rows: rows.len(), columns: schema.fields().iter().enumerate().map(column).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        let types = ["bool?", "int64", "float64?", "utf8", "binary?", "timestamp", "vector[3]?"];
        let named = types.iter().enumerate().map(|(at, data_type)| Field::parse(format!("c{at}"), data_type));
        let mut fields: Vec<Field> = named.collect::<Result<_, _>>().expect("types");
        fields.push(Field::new(EVENT_TIME, DataType::Timestamp));
        Schema::new(fields).expect("each name once")
    }

    #[test]
    fn a_seed_decides_the_rows() {
        let schema = schema();
        let rows = |seed| Generator::new(&schema, &[seed; 32]).rows(200);
        let text = |batch: &Batch| format!("{batch:?}");
        assert_eq!(text(&rows(7)), text(&rows(7)));
        assert_ne!(text(&rows(7)), text(&rows(8)));
        assert_eq!(permutation(50, &[7; 32]), permutation(50, &[7; 32]));
        let mut sorted = permutation(50, &[7; 32]);
        assert_ne!(sorted, (0..50).collect::<Vec<_>>());
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_rows_have_every_edge_of_every_column() {
        let schema = schema();
        let rows = Generator::new(&schema, &[1; 32]).rows(32);
        let rows = rows.into_canonical(&schema).expect("rows of the schema");
        for (field, column) in schema.fields().iter().zip(&rows.columns) {
            let has =
                |wanted: &Value| (0..rows.rows).filter_map(|row| column.get(row)).any(|value| value.same_bits(wanted));
            assert!(edges(field).iter().all(has), "{field}");
            assert_eq!(column.null_count() > 0, field.nullable, "{field}");
        }
    }

    #[test]
    fn event_times_stay_in_the_range_of_windows_and_rise_in_ordinary_rows() {
        let schema = schema();
        let times = |batch: &Batch| -> Vec<Timestamp> {
            let column = batch.columns.last().expect("a column");
            (0..batch.rows)
                .map(|row| match column.get(row) {
                    Some(Value::Timestamp(time)) => time,
                    other => panic!("{other:?} is no time"),
                })
                .collect()
        };
        let mut generator = Generator::new(&schema, &[3; 32]);
        assert!(times(&generator.rows(300)).iter().all(|time| time.is_in_range()));
        assert!(times(&generator.ordinary(100)).is_sorted());
    }
}
