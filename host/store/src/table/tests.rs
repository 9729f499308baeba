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
fn parquet_bytes_do_not_depend_on_batches_or_threads() {
    let temp = tempfile::tempdir().unwrap();
    let (schema, batch) = numbers(150_000);
    let bytes = |cuts: &[usize], threads: usize| {
        let path = temp.path().join("t.parquet");
        let mut writer = TableWriter::create(&path, Format::Parquet, &schema).unwrap().on_threads(threads);
        let ends = cuts.iter().chain([&batch.rows]);
        for (from, to) in std::iter::once(&0).chain(cuts).zip(ends) {
            writer.write(&batch.slice(*from, *to)).unwrap();
        }
        writer.finish().unwrap();
        fs::read(&path).unwrap()
    };
    let whole = bytes(&[], 1);
    for (threads, cuts) in [&[1][..], &[8192], &[8191, 8193, 131_072], &[100, 200, 60_000, 149_999]].iter().enumerate()
    {
        assert!(bytes(cuts, threads) == whole, "{cuts:?}, {threads} threads");
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
fn columns_read_apart_make_the_same_table() {
    let temp = tempfile::tempdir().unwrap();
    let (schema, batch) = numbers(20_000);
    let path = temp.path().join("t.parquet");
    write(&path, &schema, std::slice::from_ref(&batch));
    for threads in 1..6 {
        let sizes = |reader: TableReader| reader.map(|batch| batch.unwrap().rows).collect::<Vec<_>>();
        let apart = || TableReader::open_apart(&path, &schema, threads).unwrap();
        assert_eq!(sizes(apart()), sizes(TableReader::open(&path, None, Columns::AsFound).unwrap()));
        assert_eq!(collect(apart()), batch);
        // Whoever wants no more lets the threads go.
        assert_eq!(apart().next().map(|batch| batch.unwrap().rows), Some(BATCH_ROWS));

        let strict = self::schema(&[("n", "int64"), ("s", "utf8"), ("x", "float64")]);
        let mut reader = TableReader::open_apart(&path, &strict, threads).unwrap();
        let error = reader.find_map(Result::err).unwrap();
        let expected = format!("in table `{}`: column `x` is null in row 0 but not nullable", path.display());
        assert_eq!(chain(&error), expected);
        assert!(reader.next().is_none(), "an error is the end");
        let missing = TableReader::open_apart(&path, &self::schema(&[("n", "int64"), ("y", "utf8")]), threads);
        assert!(chain(&missing.err().unwrap()).ends_with("there is no column `y`; there are `n`, `x`, `s`"));
    }
}

/// A share may have no column that is in a file.
#[test]
fn columns_of_many_files_and_of_their_paths_are_read_apart() {
    let temp = tempfile::tempdir().unwrap();
    let (in_files, batch) = numbers(9000);
    for (carrier, from, to) in [("AA", 0, 8500), ("B6", 8500, 8501), ("UA", 8501, 9000)] {
        fs::create_dir(temp.path().join(format!("carrier={carrier}"))).unwrap();
        write(&temp.path().join(format!("carrier={carrier}/x.parquet")), &in_files, &[batch.slice(from, to)]);
    }
    let schema = schema(&[("carrier", "utf8"), ("n", "int64")]);
    let expected = read(temp.path(), Columns::Exactly(schema.clone()));
    assert_eq!(expected.rows, 9000);
    for threads in 1..4 {
        assert_eq!(collect(TableReader::open_apart(temp.path(), &schema, threads).unwrap()), expected, "{threads}");
    }
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

/// Writes texts under names below a folder.
fn lay_out(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn a_table_split_into_files_is_the_same_table() {
    let temp = tempfile::tempdir().unwrap();
    let (schema, batch) = numbers(10_000);
    for (format, extension) in FORMATS {
        let whole = temp.path().join(format!("whole.{extension}"));
        write(&whole, &schema, std::slice::from_ref(&batch));
        let folder = temp.path().join(extension);
        for (at, from) in [0, 1, 7, 9000].into_iter().enumerate() {
            let to = [1, 7, 9000, 10_000][at];
            fs::create_dir_all(folder.join("b")).unwrap();
            let place = if at < 2 { format!("a{at}.{extension}") } else { format!("b/{at}.{extension}") };
            write(&folder.join(place), &schema, &[batch.slice(from, to)]);
        }
        fs::write(folder.join("_SUCCESS"), "").unwrap();
        fs::write(folder.join(".a0.crc"), "").unwrap();
        let pattern = temp.path().join(format!("{extension}/**/*.{extension}"));
        for columns in [Columns::AsFound, Columns::AtLeast(schema.clone()), Columns::Exactly(schema.clone())] {
            let expected = TableReader::open(&whole, None, columns.clone()).unwrap();
            let schema = expected.schema().clone();
            let expected = collect(expected);
            for path in [&folder, &pattern] {
                let found = TableReader::open(path, None, columns.clone()).unwrap();
                assert_eq!(*found.schema(), schema, "{format:?}");
                assert_eq!(collect(found), expected, "{format:?} {columns:?} {}", path.display());
            }
        }
    }
}

#[test]
fn types_are_guessed_from_all_files_together() {
    let temp = tempfile::tempdir().unwrap();
    lay_out(temp.path(), &[("1.csv", "a,b\n1,\n"), ("2.csv", "b,a\n2013-01-01,1.5\n")]);
    let reader = TableReader::open(temp.path(), None, Columns::AsFound).unwrap();
    assert_eq!(*reader.schema(), schema(&[("a", "float64?"), ("b", "timestamp?")]));
    let batch = collect(reader);
    assert_eq!(
        (batch.columns[0].get(0), batch.columns[0].get(1)),
        (Some(Value::Float64(1.0)), Some(Value::Float64(1.5)))
    );
}

#[test]
fn folders_called_key_and_value_are_columns() {
    let temp = tempfile::tempdir().unwrap();
    lay_out(
        temp.path(),
        &[
            ("day=2013-01-01/carrier=AA/x.csv", "n\n1\n"),
            ("day=2013-01-01/carrier=a%2Fb/x.csv", "n\n2\n3\n"),
            ("day=2013-01-02/carrier=__HIVE_DEFAULT_PARTITION__/x.csv", "n\n4\n"),
        ],
    );
    let found = schema(&[("n", "int64?"), ("day", "timestamp?"), ("carrier", "utf8?")]);
    for path in [temp.path().to_owned(), temp.path().join("day=*/*/*.csv")] {
        let reader = TableReader::open(&path, None, Columns::AsFound).unwrap();
        assert_eq!(*reader.schema(), found);
        let carriers = collect(reader).columns.pop().unwrap();
        let carriers: Vec<_> = (0..4).map(|row| carriers.get(row)).collect();
        let text = |text: &str| Some(Value::Utf8(text.to_owned()));
        assert_eq!(carriers, [text("AA"), text("a/b"), text("a/b"), None]);
    }
    let wanted = schema(&[("day", "utf8"), ("n", "int64")]);
    let batch = read(temp.path(), Columns::Exactly(wanted));
    assert_eq!(batch.columns[0].get(3), Some(Value::Utf8("2013-01-02".to_owned())));
    let below = read(&temp.path().join("day=2013-01-02"), Columns::AsFound);
    assert_eq!(below.columns.len(), 2, "what was named is not looked at");
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let check = |files: &[(&str, &str)], named: &str, expected: &str| {
        let temp = tempfile::tempdir().unwrap();
        lay_out(temp.path(), files);
        let opened = TableReader::open(&temp.path().join(named), None, Columns::AsFound);
        let error = opened.and_then(|mut reader| reader.find_map(Result::err).map_or(Ok(()), Err)).unwrap_err();
        let found = chain(&error).replace(&format!("{}/", temp.path().display()), "");
        assert!(found.starts_with(expected), "expected {expected}, found {found}");
    };
    check(&[("b/_a.csv", "n\n1\n")], "b", "there is no table in `b`");
    check(&[("a.csv", "n\n1\n")], "*.tsv", "there is no table in `*.tsv`");
    check(&[("a.csv", "n\n1\n"), ("b.jsonl", "{}")], "", "`a.csv` and `b.jsonl` are of different formats");
    check(&[("a.csv", "n\n1\n"), ("b.txt", "")], "", "`b.txt` has no extension of a table");
    check(&[("a.csv", "n\n1\n"), ("b.csv", "m\n1\n")], "", "in table `b.csv`: there is no column `n`; there are `m`");
    check(
        &[("d=1/a.csv", "n\n1\n"), ("e=1/a.csv", "n\n1\n")],
        "",
        "`d=1/a.csv` and `e=1/a.csv` have different partition columns",
    );
    check(&[("a.csv", "n\n1\n")], "a[.csv", "`a[.csv` is not a pattern of paths");
}

#[test]
fn typed_files_must_agree_on_types() {
    let temp = tempfile::tempdir().unwrap();
    let (schema, batch) = numbers(3);
    write(&temp.path().join("a.parquet"), &schema, std::slice::from_ref(&batch));
    let other = self::schema(&[("n", "int64"), ("x", "int64?"), ("s", "utf8")]);
    let columns = vec![batch.columns[0].clone(), batch.columns[0].clone(), batch.columns[2].clone()];
    write(&temp.path().join("b.parquet"), &other, &[Batch { rows: 3, columns }]);
    let error = TableReader::open(temp.path(), None, Columns::AsFound).map(|_| ()).unwrap_err();
    let said = chain(&error);
    assert!(said.contains("b.parquet`: column `x` is of type int64 and cannot be read as float64"), "{said}");
}
