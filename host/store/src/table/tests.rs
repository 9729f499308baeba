use std::{error::Error, fs, io::Cursor, path::PathBuf};

use oast_core::{ColumnBuilder, DataType, Timestamp, Value};
use proptest::prelude::*;

use super::*;
use crate::arrow::tests::{any_table, same_rows};

const FORMATS: [(Format, &str); 4] =
    [(Format::Parquet, "parquet"), (Format::Csv, "csv"), (Format::Arrow, "arrow"), (Format::JsonLines, "jsonl")];

fn schema(fields: &[(&str, &str)]) -> Schema {
    Schema::new(fields.iter().map(|(name, data_type)| Field::parse(*name, data_type).unwrap()).collect()).unwrap()
}

fn write(path: &Path, schema: &Schema, batches: &[Batch]) -> Written {
    let mut writer = TableWriter::create(path, Format::of_path(path).unwrap(), schema).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap()
}

fn collect(reader: TableReader) -> Batch {
    let mut all = Batch::empty(reader.schema());
    reader.for_each(|batch| all.append(&batch.unwrap()));
    all
}

fn read(path: &Path, columns: Columns) -> Batch {
    collect(TableReader::open(path, None, columns).unwrap())
}

fn numbers(rows: i64) -> (Schema, Batch) {
    let schema = schema(&[("n", "int64"), ("x", "float64?"), ("s", "utf8")]);
    let mut builders = [DataType::Int64, DataType::Float64, DataType::Utf8].map(ColumnBuilder::new);
    for n in 0..rows {
        builders[0].push(Some(&Value::Int64(n)));
        builders[1].push((n % 7 != 0).then_some(Value::Float64(n as f64 / 3.0)).as_ref());
        builders[2].push(Some(&Value::Utf8(format!("row {n}"))));
    }
    (schema, Batch { rows: rows as usize, columns: builders.map(ColumnBuilder::finish).into() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn typed_tables_survive_their_files((schema, batch) in any_table()) {
        let temp = tempfile::tempdir().unwrap();
        for name in ["t.parquet", "t.arrow", "t.jsonl"] {
            let path = temp.path().join(name);
            let written = write(&path, &schema, std::slice::from_ref(&batch));
            prop_assert_eq!(written, Written { rows: batch.rows as u64, bytes: fs::metadata(&path).unwrap().len() });
            let back = read(&path, Columns::Exactly(schema.clone()));
            prop_assert!(same_rows(&back, &batch), "{name}: {back:?}");
            if name != "t.jsonl" {
                let found = TableReader::open(&path, None, Columns::AsFound).unwrap();
                prop_assert_eq!(found.schema(), &schema);
            }
        }
    }
}

#[test]
fn long_tables_come_in_bounded_batches_and_by_any_way() {
    let temp = tempfile::tempdir().unwrap();
    let (schema, batch) = numbers(20_000);
    for (format, extension) in FORMATS {
        let path = temp.path().join(format!("t.{extension}"));
        write(&path, &schema, std::slice::from_ref(&batch));
        let reader = TableReader::open(&path, None, Columns::Exactly(schema.clone())).unwrap();
        let rows: Vec<_> = reader.map(|batch| batch.unwrap().rows).collect();
        assert!(rows.iter().all(|rows| *rows <= BATCH_ROWS), "{format:?}: {rows:?}");
        assert_eq!(read(&path, Columns::Exactly(schema.clone())), batch, "{format:?}");
        for columns in [Columns::AsFound, Columns::AtLeast(schema.clone()), Columns::Exactly(schema.clone())] {
            let input = Cursor::new(fs::read(&path).unwrap());
            let found = collect(TableReader::from_read("a request", format, input, columns).unwrap());
            assert_eq!(found.rows, 20_000, "{format:?}");
        }
    }
}

#[test]
fn parquet_bytes_do_not_depend_on_batches() {
    let temp = tempfile::tempdir().unwrap();
    let (schema, batch) = numbers(150_000);
    let bytes = |cuts: &[usize]| {
        let path = temp.path().join("t.parquet");
        let ends = cuts.iter().chain([&batch.rows]);
        let parts = std::iter::once(&0).chain(cuts).zip(ends).map(|(from, to)| batch.slice(*from, *to));
        write(&path, &schema, &parts.collect::<Vec<_>>());
        fs::read(&path).unwrap()
    };
    let whole = bytes(&[]);
    for cuts in [&[1][..], &[8192], &[8191, 8193, 131_072], &[100, 200, 60_000, 149_999]] {
        assert!(bytes(cuts) == whole, "{cuts:?}");
    }
}

#[test]
fn types_are_guessed_from_text() {
    let temp = tempfile::tempdir().unwrap();
    let csv = "\u{feff}id,when,x,flag,name,none\n\
        1,2013-01-01T05:00:00Z,1,true,AA,\n\
        2,2013-01-02,2.5,FALSE,\"a \"\"b\"\"\nc\",\n";
    let json = "{\"id\":1,\"when\":\"2013-01-01T05:00:00Z\",\"x\":1,\"flag\":true,\"name\":\"AA\",\"none\":null}\n\n\
        {\"id\":2,\"when\":\"2013-01-02\",\"x\":2.5,\"flag\":false,\"name\":\"a \\\"b\\\"\\nc\",\"none\":null}\n";
    for (name, text) in [("t.csv", csv), ("t.jsonl", json)] {
        let path = temp.path().join(name);
        fs::write(&path, text).unwrap();
        let reader = TableReader::open(&path, None, Columns::AsFound).unwrap();
        let types =
            ["id", "when", "x", "flag", "name", "none"].map(|name| reader.schema().field(name).unwrap().type_name());
        assert_eq!(types, ["int64?", "timestamp?", "float64?", "bool?", "utf8?", "utf8?"], "{name}");
        let schema = reader.schema().clone();
        let batch = collect(reader);
        let get = |column: &str, row| batch.columns[schema.index_of(column).unwrap()].get(row);
        assert_eq!(get("name", 1), Some(Value::Utf8("a \"b\"\nc".to_owned())));
        assert_eq!(get("when", 0), Some(Value::Timestamp(Timestamp::from_micros(1_357_016_400_000_000))));
        assert_eq!((get("flag", 1), get("none", 0)), (Some(Value::Bool(false)), None));
    }
}

#[test]
fn given_columns_win_over_guesses() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("spine.csv");
    fs::write(&path, "label,key,t\n0,007,1000\n1,,2000\n").unwrap();
    let wanted = self::schema(&[("t", "timestamp"), ("key", "utf8")]);
    let reader = TableReader::open(&path, None, Columns::AtLeast(wanted)).unwrap();
    assert_eq!(*reader.schema(), self::schema(&[("label", "int64?"), ("key", "utf8"), ("t", "timestamp")]));
    let batch = collect(reader);
    assert_eq!(batch.columns[1].get(0), Some(Value::Utf8("007".to_owned())));
    assert_eq!(batch.columns[1].get(1), Some(Value::Utf8(String::new())));
    assert_eq!(batch.columns[2].get(1), Some(Value::Timestamp(Timestamp::from_micros(2000))));
}

/// The messages of the error and its sources.
fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[test]
fn errors_name_file_row_and_column() {
    let temp = tempfile::tempdir().unwrap();
    let check = |name: &str, text: &str, expected: &str| {
        let path = temp.path().join(name);
        fs::write(&path, text).unwrap();
        let wanted = schema(&[("k", "utf8"), ("n", "int64")]);
        let error = match TableReader::open(&path, None, Columns::Exactly(wanted)) {
            Err(error) => error,
            Ok(mut reader) => {
                let error = reader.find_map(Result::err).unwrap();
                assert!(reader.next().is_none(), "an error is the end");
                error
            }
        };
        assert_eq!(chain(&error), format!("in table `{}`: {expected}", path.display()));
    };
    check("a.csv", "k,m\nx,1\n", "there is no column `n`; there are `k`, `m`");
    check("b.csv", "k,n\nx,1\ny,two\n", "`two` in row 2, column `n`, is not a value of type int64");
    check("c.csv", "k,n\nx,1\ny,\n", "column `n` is null in row 1 but not nullable");
    check("d.jsonl", "{\"k\":\"x\",\"n\":1}\n[1]\n", "line 2 is not a JSON object");
    check("e.jsonl", "\n{\"k\":\"x\",\"n\":1.5}\n", "`1.5` in row 1, column `n`, is not a value of type int64");
    check("f.jsonl", "{\"k\":\"x\"}\n", "there is no column `n`; there are `k`");
    let many: String = (0..9000).map(|n| format!("x,{n}\n")).collect();
    check("g.csv", &format!("k,n\n{many}y,?\n"), "`?` in row 9001, column `n`, is not a value of type int64");
}

#[test]
fn typed_files_are_checked_before_they_are_read() {
    let temp = tempfile::tempdir().unwrap();
    let (schema, batch) = numbers(3);
    for name in ["t.parquet", "t.arrow"] {
        let path = temp.path().join(name);
        write(&path, &schema, std::slice::from_ref(&batch));
        let open = |wanted| TableReader::open(&path, None, Columns::Exactly(wanted)).map(|_| ()).unwrap_err();
        let wrong = open(self::schema(&[("s", "float64")]));
        assert!(chain(&wrong).ends_with("column `s` is of type Utf8 and cannot be read as float64"), "{wrong}");
        let missing = open(self::schema(&[("y", "float64")]));
        assert!(chain(&missing).ends_with("there is no column `y`; there are `n`, `x`, `s`"));
        let null = TableReader::open(&path, None, Columns::Exactly(self::schema(&[("x", "float64")]))).unwrap();
        assert!(chain(&null.last().unwrap().unwrap_err()).ends_with("column `x` is null in row 0 but not nullable"));
        fs::write(&path, "PAR1 no").unwrap();
        assert!(matches!(open(schema.clone()), StoreError::Table { path: named, .. } if named == path));
    }
    let unknown = Format::of_path(&PathBuf::from("spine.xlsx")).unwrap_err();
    assert!(unknown.hint().unwrap().contains(".parquet"));
    let gone = TableReader::open(&temp.path().join("gone.csv"), None, Columns::AsFound).map(|_| ()).unwrap_err();
    assert!(gone.to_string().starts_with("cannot open `"));
}

#[test]
fn an_unfinished_table_leaves_what_was_there() {
    let temp = tempfile::tempdir().unwrap();
    let (schema, batch) = numbers(10);
    for (format, extension) in FORMATS {
        let path = temp.path().join(format!("t.{extension}"));
        fs::write(&path, "yesterday's").unwrap();
        let mut writer = TableWriter::create(&path, format, &schema).unwrap();
        writer.write(&batch).unwrap();
        let broken = Batch { rows: 1, columns: vec![oast_core::Column::nulls(DataType::Int64, 1); 3] };
        let error = writer.write(&broken).unwrap_err();
        assert_eq!(
            chain(&error),
            format!("in table `{}`: column `n` is null in row 0 but not nullable", path.display())
        );
        drop(writer);
        assert_eq!(fs::read(&path).unwrap(), b"yesterday's");
    }
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), FORMATS.len(), "nothing is left beside");
}

#[test]
fn a_table_without_rows_has_its_columns() {
    let temp = tempfile::tempdir().unwrap();
    let (schema, _) = numbers(0);
    for name in ["t.parquet", "t.csv", "t.arrow"] {
        let path = temp.path().join(name);
        assert_eq!(write(&path, &schema, &[]).rows, 0);
        assert_eq!(read(&path, Columns::Exactly(schema.clone())).rows, 0);
        let names = TableReader::open(&path, None, Columns::AsFound).unwrap().schema().names_quoted();
        assert_eq!(names, "`n`, `x`, `s`");
    }
}
