//! What the daemon holds clients to, and what it speaks: HTTP/2, deadlines, limits, and events in every encoding.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    daemon::{Daemon, JSON, LINES, applied},
    setup::told,
};

/// A lookup of one entity, so many times.
pub(crate) fn lookup(rows: usize) -> String {
    let entities = vec![json!({"carrier": "AA", "origin": "JFK"}); rows];
    let request = vec![json!({"distance": 187.0}); rows];
    json!({"service": "delay_model", "entities": entities, "request": request}).to_string()
}

#[test]
fn http_2_is_spoken_on_the_same_port() {
    let folder = applied();
    let daemon = Daemon::start(&folder, &[]);
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (status, rows) = threads.block_on(async {
        let stream = tokio::net::TcpStream::connect(daemon.address()).await.expect("it listens");
        let (client, connection) = h2::client::handshake(stream).await.expect("prior knowledge is enough");
        tokio::spawn(connection);
        let mut client = client.ready().await.expect("a stream is free");
        let uri = format!("http://{}/v1/lookup", daemon.address());
        let head = axum::http::Request::post(uri).header("content-type", JSON).body(()).expect("a request");
        let (response, mut body) = client.send_request(head, false).expect("it is sent");
        body.send_data(Bytes::from(lookup(2)), true).expect("it is sent");
        let mut response = response.await.expect("an answer");
        let mut answer = Vec::new();
        while let Some(part) = response.body_mut().data().await {
            answer.extend_from_slice(&part.expect("a part of the answer"));
        }
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        (response.status().as_u16(), answer["rows"].clone())
    });
    let (_, expect) = daemon.post("/v1/lookup", JSON, &lookup(2));
    assert_eq!((status, &rows), (200, &expect["rows"]));
    // The connection is open still, but nobody drives it any longer.
    assert_eq!(daemon.stop(), Some(0), "an idle HTTP/2 connection does not keep it");
    drop(threads);
}

#[test]
fn deadlines_and_limits_are_kept() {
    let folder = applied();
    let daemon =
        Daemon::start(&folder, &["--rows-max", "3", "--header-bytes-max", "8192", "--header-seconds-max", "1"]);
    let check = |(status, body): (u16, Value), expect: u16, code: &str| {
        assert_eq!((status, body["error"]["code"].as_str()), (expect, Some(code)), "{body}");
    };
    assert_eq!(daemon.post("/v1/lookup", JSON, &lookup(3)).0, 200);
    check(daemon.post("/v1/lookup", JSON, &lookup(4)), 413, "too_many_rows");
    let within = |deadline: &str| daemon.post_within(deadline, "/v1/lookup", JSON, &lookup(1));
    check(within("0"), 504, "deadline_exceeded");
    check(within("soon"), 400, "bad_deadline");
    assert_eq!(within("3600000").0, 200);
    check(daemon.post_within("0", "/v1/events/departures", LINES, "nonsense"), 504, "deadline_exceeded");

    let answered = |sent: &str| {
        let mut stream = TcpStream::connect(daemon.address()).expect("it listens");
        stream.write_all(sent.as_bytes()).expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it hangs up");
        answer
    };
    let large = format!("GET /healthz HTTP/1.1\r\nhost: a\r\nx-large: {}\r\n\r\n", "x".repeat(9000));
    assert!(answered(&large).starts_with("HTTP/1.1 431 "), "a head over the limit is refused");
    assert_eq!(answered(""), "", "a connection without a request is closed");
    assert_eq!(answered("PRI * HT"), "", "and so is one that does not finish to say its protocol");
    assert!(!answered("GET /healthz HTTP/1.1\r\n").contains("200"), "and one that does not finish its head");
    assert_eq!(daemon.stop(), Some(0));
}

const HEAD: &str = "flight_id,carrier,origin,dest,tailnum,distance,dep_delay,sched_time,dep_time";

/// A row of CSV, with what differs between them.
fn flight(id: &str, delay: &str, carrier: &str) -> String {
    format!("{id},{carrier},JFK,BOS,,187.0,{delay},2013-01-01T10:00:00Z,2013-01-01T10:10:00Z\n")
}

#[test]
fn events_come_as_csv_with_a_report_for_each_row() {
    let folder = applied();
    let daemon = Daemon::start(&folder, &[]);
    let body = [
        format!("{HEAD}\n"),
        flight("1", "10", "AA"),
        flight("2", "late", "AA"),
        flight("3", "9999", "AA"),
        flight("1", "10", "AA"),
        flight("4", "7", "\"A\"\"A\""),
    ];
    let (status, report) = daemon.post("/v1/events/departures", "text/csv; charset=utf-8", &body.concat());
    assert_eq!((status, &report["accepted"], &report["duplicates"]), (200, &json!(2), &json!(1)), "{report}");
    let faults: Vec<_> = report["quarantined"].as_array().into_iter().flatten().collect();
    let told: Vec<_> = faults.iter().map(|fault| (&fault["row"], &fault["field"], &fault["code"])).collect();
    assert_eq!(
        told,
        [(&json!(2), &json!("dep_delay"), &json!("type")), (&json!(3), &json!("dep_delay"), &json!("max"))],
        "{report}"
    );
    // Without a fault in its types, the same rows are read in the fast way, and it is all the same to the log.
    let again = [format!("{HEAD}\n"), flight("1", "10", "AA"), flight("4", "7", "\"A\"\"A\"")];
    let (_, report) = daemon.post("/v1/events/departures", "text/csv", &again.concat());
    assert_eq!((&report["accepted"], &report["duplicates"]), (&json!(0), &json!(2)), "{report}");
    let (status, report) = daemon.post("/v1/events/departures", "text/csv", "flight_id\n1\n");
    assert_eq!(status, 400, "{report}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn events_come_as_parquet() {
    let folder = applied();
    let daemon = Daemon::start(&folder, &[]);
    let file = std::fs::read(folder.path("departures.parquet")).expect("the demo's flights");
    let send = |body: &[u8]| daemon.post_bytes("/v1/events/departures", "application/vnd.apache.parquet", body);
    let (status, report) = send(&file);
    assert_eq!((status, &report["accepted"], &report["quarantined"]), (200, &json!(26_353), &json!([])), "{report}");
    let (_, report) = send(&file);
    assert_eq!((&report["accepted"], &report["duplicates"]), (&json!(0), &json!(26_353)), "{report}");
    let (status, report) = send(&file[..1000]);
    assert_eq!(status, 400, "{report}");
    assert_eq!(daemon.stop(), Some(0));
    let (status, stdout, _) = told(folder.oast(&["log", "verify"]));
    assert_eq!(status, Some(0), "{stdout}");
}
