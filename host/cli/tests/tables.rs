//! Lookups as Arrow tables: the same values and receipts as in JSON.

use std::collections::BTreeMap;

use arrow::ipc::reader::StreamReader;
use oast_runtime::{
    Batch, Columns, DataType, Field, Format, Schema, TableReader, Value as Cell, arrow_stream, value_json,
};
use serde_json::{Value, json};

use crate::{
    daemon::{Daemon, JSON, applied},
    setup::told,
};

const ARROW: &str = "application/vnd.apache.arrow.stream";
const AT: &str = "2013-01-08T00:00:00Z";

/// A known entity, one with a null in its key, one nobody has heard of, and one whose request field is null where it must not be.
const ROWS: [(Option<&str>, &str, Option<f64>); 4] = [
    (Some("AA"), "JFK", Some(187.0)),
    (None, "JFK", Some(f64::INFINITY)),
    (Some("??"), "EWR", Some(1.0)),
    (Some("AA"), "JFK", None),
];

fn as_json() -> Vec<u8> {
    let entities = ROWS.map(|(carrier, origin, _)| json!({"carrier": carrier, "origin": origin}));
    let distance = |distance: Option<f64>| value_json(distance.map(Cell::Float64).as_ref());
    let request = ROWS.map(|(_, _, value)| json!({"distance": distance(value)}));
    let asked = json!({"service": "delay_model", "entities": entities, "request": request, "receipt": true, "at": AT});
    asked.to_string().into_bytes()
}

fn as_table() -> Vec<u8> {
    let text = |text: Option<&str>| text.map(|text| Cell::Utf8(text.to_owned()));
    let columns = [
        ("distance", DataType::Float64, ROWS.map(|(_, _, distance)| distance.map(Cell::Float64))),
        ("carrier", DataType::Utf8, ROWS.map(|(carrier, _, _)| text(carrier))),
        ("origin", DataType::Utf8, ROWS.map(|(_, origin, _)| text(Some(origin)))),
    ];
    let fields = columns.iter().map(|(name, data_type, _)| Field::nullable(*name, *data_type)).collect();
    let column = |data_type: DataType, values: &[Option<Cell>]| {
        let mut builder = oast_core::ColumnBuilder::new(data_type);
        values.iter().for_each(|value| builder.push(value.as_ref()));
        builder.finish()
    };
    let columns = columns.iter().map(|(_, data_type, values)| column(*data_type, values)).collect();
    let schema = Schema::new(fields).expect("each name once");
    arrow_stream(&schema, &Batch { rows: ROWS.len(), columns }).expect("a stream")
}

/// The columns of an answer, as they would be in JSON.
fn columns(stream: &[u8]) -> BTreeMap<String, Vec<Value>> {
    let input = std::io::Cursor::new(stream.to_vec());
    let reader = TableReader::from_read("answer", Format::Arrow, input, Columns::AsFound).expect("a stream");
    let names: Vec<_> = reader.schema().fields().iter().map(|field| field.name.clone()).collect();
    let rows = reader.collect::<Result<Vec<_>, _>>().expect("rows").remove(0);
    let values =
        rows.columns.iter().map(|column| (0..rows.rows).map(|row| value_json(column.get(row).as_ref())).collect());
    names.into_iter().zip(values).collect()
}

#[test]
fn a_lookup_is_the_same_in_arrow_and_in_json() {
    let folder = applied();
    let daemon = Daemon::start(&folder, &[]);
    let file = std::fs::read(folder.path("departures.parquet")).expect("the demo's flights");
    assert_eq!(daemon.post_bytes("/v1/events/departures", "application/vnd.apache.parquet", &file).0, 200);
    let query = "/v1/lookup?service=delay_model&receipt=true&at=2013-01-08T00%3A00%3A00Z";
    let answers = [("/v1/lookup", JSON, as_json()), (query, ARROW, as_table())].map(|(path, media, body)| {
        let answer = daemon.post_for(path, media, &body, JSON);
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        (answer, daemon.post_for(path, media, &body, ARROW))
    });
    let [(answer, stream), (answer_to_table, stream_to_table)] = answers;
    assert_eq!(answer, answer_to_table, "a question is the same in both");
    assert_eq!(columns(&stream), columns(&stream_to_table));

    let table = columns(&stream_to_table);
    let rows = answer["rows"].as_array().expect("rows");
    let of_rows = |read: &dyn Fn(&Value) -> Value| -> Vec<Value> { rows.iter().map(read).collect() };
    for (at, feature) in answer["features"].as_array().expect("features").iter().enumerate() {
        let feature = feature.as_str().expect("a name");
        assert_eq!(table[feature], of_rows(&|row| row["values"][at].clone()), "{feature}");
        assert_eq!(table[&format!("{feature}__status")], of_rows(&|row| row["status"][at].clone()), "{feature}");
    }
    for view in ["carrier_delay", "origin_delay"] {
        let times = of_rows(&|row| row["event_times"][view].clone());
        assert_eq!(table[&format!("{view}__event_time")], times, "{view}");
        assert!(times[0].is_string() && times[3].is_null(), "{times:?}");
    }
    assert_eq!(table["error"], of_rows(&|row| row["error"]["message"].clone()));
    assert_eq!(rows[3]["error"]["code"], json!("null"), "{answer}");

    let reader = StreamReader::try_new(stream_to_table.as_slice(), None).expect("a stream");
    let metadata = reader.schema().metadata().clone();
    for name in ["service", "version", "time"] {
        assert_eq!(json!(metadata[name]), answer[name], "{name}");
    }
    assert_eq!(metadata["offset"], answer["offset"].to_string());
    let receipt: Value = serde_json::from_str(&metadata["receipt"]).expect("JSON");
    assert_eq!(receipt, answer["receipt"]);

    let refused = daemon.post_bytes("/v1/lookup", ARROW, &as_table());
    assert_eq!((refused.0, &refused.1["error"]["code"]), (400, &json!("bad_query")));
    let refused = daemon.post_bytes("/v1/lookup?service=delay_model", ARROW, b"nonsense");
    assert_eq!(refused.0, 400, "{}", refused.1);
    assert_eq!(daemon.stop(), Some(0));
    let (status, stdout, stderr) = told(folder.oast(&["verify", "--receipts", "oast-data/receipts"]));
    assert_eq!(status, Some(0), "{stdout}{stderr}");
}
