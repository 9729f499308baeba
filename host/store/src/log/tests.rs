use std::{fs, io::Write, path::Path, thread};

use oast_core::{Column, ColumnBuilder, ColumnError, Value};
use tempfile::TempDir;

use super::*;

fn schema() -> Schema {
    Schema::new(vec![Field::new("n", DataType::Int64), Field::nullable("text", DataType::Utf8)]).unwrap()
}

fn rows(numbers: Range<i64>) -> Batch {
    let (mut n, mut text) = (ColumnBuilder::new(DataType::Int64), ColumnBuilder::new(DataType::Utf8));
    for number in numbers.clone() {
        n.push(Some(&Value::Int64(number)));
        text.push((number % 3 != 0).then(|| Value::Utf8(format!("event {number}"))).as_ref());
    }
    Batch { rows: numbers.count(), columns: vec![n.finish(), text.finish()] }
}

/// A log under a simulated clock.
fn try_open(root: &Path) -> Result<(EventLog, Recovery)> {
    let clock = LogClock::new(|| Timestamp::MIN);
    EventLog::open(&DataDir::open(root)?, LogOptions { clock, ..LogOptions::default() })
}

fn open(root: &Path) -> EventLog {
    try_open(root).unwrap().0
}

fn append(log: &EventLog, source: &str, numbers: Range<i64>) -> Appended {
    let (schema, rows) = (schema(), rows(numbers));
    log.append(AppendRequest { source, schema: &schema, ingest: IngestTimes::Clock, rows: &rows }).unwrap()
}

/// Source, offset and number of every event, in the order of the scan.
fn events(log: &EventLog, source: Option<&str>, offsets: impl RangeBounds<u64>) -> Vec<(String, u64, i64)> {
    let mut events = Vec::new();
    for batch in log.scan(source, offsets).unwrap() {
        let batch = batch.unwrap();
        assert!((1..=BATCH_ROWS).contains(&batch.offsets.len()));
        assert_eq!((batch.rows.rows, batch.ingest_times.len()), (batch.offsets.len(), batch.offsets.len()));
        for (row, offset) in batch.offsets.iter().enumerate() {
            let Some(Value::Int64(number)) = batch.rows.columns[0].get(row) else { panic!("n is never null") };
            events.push((batch.source.to_string(), *offset, number));
        }
    }
    events
}

fn numbered(source: &str, offsets: Range<u64>) -> Vec<(String, u64, i64)> {
    offsets.map(|offset| (source.to_owned(), offset, offset as i64)).collect()
}

fn files(temp: &TempDir, end: &str) -> Vec<PathBuf> {
    let paths = disk::list(&temp.path().join("log")).unwrap();
    paths.into_iter().filter(|path| disk::name_of(path).ends_with(end)).collect()
}

#[test]
fn events_come_back_in_order_from_segments_and_files() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path());
    assert_eq!(append(&log, "a", 0..3).offsets, 0..3);
    assert_eq!(append(&log, "b", 3..5).offsets, 3..5);
    assert_eq!(append(&log, "a", 5..6).offsets, 5..6);
    let expected: Vec<_> = [numbered("a", 0..3), numbered("b", 3..5), numbered("a", 5..6)].concat();
    assert_eq!(events(&log, None, ..), expected);
    let seals = log.seal().unwrap();
    assert_eq!((seals.len(), seals[0].segments.len(), seals[0].through_offset), (1, 2, 5));
    assert_eq!(log.seal().unwrap(), []);
    append(&log, "b", 6..8);
    let expected = [expected, numbered("b", 6..8)].concat();
    let check = |log: &EventLog| {
        assert_eq!(events(log, None, ..), expected);
        assert_eq!(events(log, None, 2..7), expected[2..7]);
        assert_eq!(events(log, Some("a"), 1..=5), [numbered("a", 1..3), numbered("a", 5..6)].concat());
        assert_eq!(events(log, Some("b"), 4..), [numbered("b", 4..5), numbered("b", 6..8)].concat());
        assert_eq!(events(log, Some("c"), ..), []);
        assert_eq!(events(log, None, 8..), []);
        assert_eq!((log.next_offset(), log.sources()), (8, vec!["a".to_owned(), "b".to_owned()]));
    };
    check(&log);
    drop(log);
    let log = open(temp.path());
    check(&log);
    log.seal().unwrap();
    check(&log);
    assert_eq!(log.verify().unwrap().segments, 3);
    assert_eq!(log.chain_head(), log.seals().last().map(|seal| seal.hash));
    assert_eq!(log.segments(Some("b")).len(), 2);
}

#[test]
fn rows_keep_every_bit_through_sealing() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path());
    append(&log, "a", 0..20_000);
    let read = |log: &EventLog, batch_rows: usize| {
        let batches: Vec<_> = log.scan(Some("a"), ..).unwrap().collect::<Result<_>>().unwrap();
        let lengths = batches.iter().map(|batch| batch.rows.rows);
        assert!(lengths.rev().skip(1).all(|rows| rows == batch_rows), "batches of {batch_rows} but for the last");
        let mut all = batches[0].clone();
        for batch in &batches[1..] {
            all.offsets.extend(&batch.offsets);
            all.ingest_times.extend(&batch.ingest_times);
            all.rows.append(&batch.rows);
        }
        all
    };
    let before = read(&log, EVENTS_PER_TICK);
    let ticks = before.ingest_times.chunks(EVENTS_PER_TICK);
    assert!(ticks.clone().all(|moment| moment.iter().all(|time| *time == moment[0])), "one tick for a moment");
    assert!(ticks.map(|moment| moment[0]).is_sorted_by(|left, right| left < right), "a later tick for a later moment");
    log.seal().unwrap();
    assert_eq!(read(&log, BATCH_ROWS), before);
    assert_eq!(events(&log, None, 8190..8194), numbered("a", 8190..8194));
}

#[test]
fn a_schema_may_change_and_segments_keep_their_own() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path());
    append(&log, "a", 0..2);
    let wider = Schema::new([schema().fields(), &[Field::new("more", DataType::Bool)]].concat()).unwrap();
    let mut more = rows(2..4);
    more.columns.push(Column { values: oast_core::Values::Bool(vec![1, 0]), validity: None });
    log.append(AppendRequest { source: "a", schema: &wider, ingest: IngestTimes::Clock, rows: &more }).unwrap();
    append(&log, "a", 4..5);
    log.seal().unwrap();
    assert_eq!(log.segments(None).len(), 2);
    let batches: Vec<_> = log.scan(None, ..).unwrap().map(Result::unwrap).collect();
    let found: Vec<_> = batches.iter().map(|batch| (batch.schema.len(), batch.offsets.clone())).collect();
    assert_eq!(found, [(2, vec![0, 1]), (3, vec![2, 3]), (2, vec![4])]);
    assert_eq!(batches[1].rows, more);
}

#[test]
fn many_threads_share_one_sequence() {
    let temp = tempfile::tempdir().unwrap();
    let clock = LogClock::new(|| Timestamp::MIN);
    let options = LogOptions { seal_bytes: 4000, queue: 2, clock };
    let (log, _) = EventLog::open(&DataDir::open(temp.path()).unwrap(), options).unwrap();
    let mut appended: Vec<Appended> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|source| {
                let log = log.clone();
                let append = move |round: i64| append(&log, &format!("s{source}"), round * 3..round * 3 + 3);
                scope.spawn(move || (0..25).map(append).collect::<Vec<_>>())
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    appended.sort_by_key(|appended| appended.offsets.start);
    let (mut next, mut last) = (0, Timestamp::MIN);
    for appended in appended {
        assert_eq!(appended.offsets, next..next + 3);
        assert!(appended.ingest_times[0] > last, "later offsets have later ticks");
        assert_eq!(appended.ingest_times[0], appended.ingest_times[2]);
        (next, last) = (appended.offsets.end, appended.ingest_times[0]);
    }
    log.seal().unwrap();
    assert!(log.seals().len() > 1, "the log seals by size");
    let offsets: Vec<_> = events(&log, None, ..).into_iter().map(|(_, offset, _)| offset).collect();
    assert_eq!(offsets, (0..300).collect::<Vec<_>>());
    for source in 0..4 {
        let numbers = events(&log, Some(&format!("s{source}")), ..).into_iter().map(|(_, _, number)| number);
        assert_eq!(numbers.collect::<Vec<_>>(), (0..75).collect::<Vec<_>>());
    }
    log.verify().unwrap();
}

#[test]
fn a_torn_tail_is_cut_off_wherever_it_is_torn() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path());
    append(&log, "a", 0..2);
    let sound = log.size().wal_bytes as usize;
    append(&log, "a", 2..4);
    drop(log);
    let [wal] = files(&temp, ".wal").try_into().unwrap();
    let whole = fs::read(&wal).unwrap();
    for end in sound..whole.len() {
        fs::write(&wal, &whole[..end]).unwrap();
        let (log, recovery) = try_open(temp.path()).unwrap();
        assert_eq!((recovery.torn_bytes, recovery.next_offset), ((end - sound) as u64, 2));
        assert_eq!(events(&log, None, ..), numbered("a", 0..2));
        assert_eq!(append(&log, "a", 2..3).offsets, 2..3);
        drop(log);
        let (log, recovery) = try_open(temp.path()).unwrap();
        assert_eq!((recovery.torn_bytes, events(&log, None, ..)), (0, numbered("a", 0..3)));
    }
}

#[test]
fn damage_before_acknowledged_frames_is_an_error_that_names_the_place() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path());
    append(&log, "a", 0..2);
    let second = log.size().wal_bytes as usize;
    append(&log, "a", 2..4);
    let third = log.size().wal_bytes as usize;
    append(&log, "a", 4..6);
    drop(log);
    let [wal] = files(&temp, ".wal").try_into().unwrap();
    let whole = fs::read(&wal).unwrap();
    for at in second..third {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&wal, &bytes).unwrap();
        match try_open(temp.path()) {
            Err(StoreError::Damaged { path, position, .. }) => assert_eq!((&path, position), (&wal, second as u64)),
            Err(error) => panic!("byte {at}: {error}"),
            Ok(_) => panic!("byte {at} passed unnoticed"),
        }
        assert_eq!(fs::read(&wal).unwrap(), bytes, "nothing is changed");
    }
    fs::write(&wal, &whole).unwrap();
    assert_eq!(events(&open(temp.path()), None, ..), numbered("a", 0..6));
}

/// A power cut can keep a later frame of a group and lose an earlier one; none of them was acknowledged.
#[test]
fn a_group_torn_in_its_middle_is_cut_off() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path());
    append(&log, "a", 0..2);
    let sound = log.size().wal_bytes as usize;
    append(&log, "a", 2..BATCH_ROWS as i64 + 4);
    drop(log);
    let [wal] = files(&temp, ".wal").try_into().unwrap();
    let mut bytes = fs::read(&wal).unwrap();
    bytes[sound + 100] ^= 1;
    fs::write(&wal, &bytes).unwrap();
    let (log, recovery) = try_open(temp.path()).unwrap();
    assert_eq!((recovery.torn_bytes, recovery.next_offset), ((bytes.len() - sound) as u64, 2));
    assert_eq!(events(&log, None, ..), numbered("a", 0..2));
}

#[test]
fn a_crash_while_sealing_loses_and_repeats_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path());
    append(&log, "a", 0..3);
    append(&log, "b", 3..5);
    drop(log);
    let [wal] = files(&temp, ".wal").try_into().unwrap();
    let unsealed = fs::read(&wal).unwrap();
    let log = open(temp.path());
    log.seal().unwrap();
    drop(log);
    let chain = temp.path().join("log/chain.jsonl");
    let line = fs::read(&chain).unwrap();
    let segments = files(&temp, ".parquet");
    let check = |what: &str, orphans: usize| {
        fs::write(&wal, &unsealed).unwrap();
        fs::write(temp.path().join("log/.a.parquet.9-9.aside"), "half").unwrap();
        let (log, recovery) = try_open(temp.path()).unwrap();
        assert_eq!(recovery.orphan_segments.len(), orphans, "{what}");
        log.seal().unwrap();
        let expected = [numbered("a", 0..3), numbered("b", 3..5)].concat();
        assert_eq!(events(&log, None, ..), expected, "{what}");
        assert_eq!(log.verify().unwrap().segments, 2, "{what}");
        drop(log);
        assert_eq!((fs::read(&chain).unwrap(), files(&temp, ".parquet")), (line.clone(), segments.clone()), "{what}");
        assert_eq!((files(&temp, ".wal").len(), files(&temp, ".aside").len()), (1, 0), "{what}");
    };
    check("after the line, before the removal", 0);
    for end in 0..line.len() {
        fs::write(&chain, &line[..end]).unwrap();
        check("while the line was written", 2);
    }
    fs::remove_file(&chain).unwrap();
    check("after the segments", 2);
    fs::remove_file(&chain).unwrap();
    fs::remove_file(&segments[1]).unwrap();
    check("between the segments", 1);
    fs::remove_file(&chain).unwrap();
    segments.iter().for_each(|segment| fs::remove_file(segment).unwrap());
    check("after the rotation", 0);
    fs::remove_file(&chain).unwrap();
    segments.iter().for_each(|segment| fs::remove_file(segment).unwrap());
    fs::remove_file(files(&temp, ".wal").last().unwrap()).unwrap();
    check("before the rotation", 0);
}

fn sealed_thrice(temp: &TempDir) -> Vec<Segment> {
    let log = open(temp.path());
    for start in [0, 3, 6] {
        append(&log, "a", start..start + 3);
        log.seal().unwrap();
    }
    log.segments(None)
}

#[test]
fn an_altered_segment_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let segments = sealed_thrice(&temp);
    let path = temp.path().join("log").join(segments[1].file_name());
    let whole = fs::read(&path).unwrap();
    let log = open(temp.path());
    let verify = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        log.verify().unwrap_err()
    };
    let mut edited = whole.clone();
    edited[20] ^= 1;
    for bytes in [&edited[..], &whole[..whole.len() - 1], &[]] {
        let error = verify(bytes);
        assert!(matches!(&error, StoreError::Altered { path: named, .. } if *named == path), "{error}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(log.verify().unwrap_err(), StoreError::Missing { path: named } if named == path));
    let error = log.scan(None, ..).unwrap().find_map(Result::err).unwrap();
    assert!(matches!(error, StoreError::Missing { path: named } if named == path));
    fs::write(&path, &whole).unwrap();
    assert_eq!(log.verify().unwrap().segments, 3);
}

#[test]
fn an_altered_chain_does_not_open() {
    let temp = tempfile::tempdir().unwrap();
    sealed_thrice(&temp);
    let chain = temp.path().join("log/chain.jsonl");
    let text = fs::read_to_string(&chain).unwrap();
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let check = |altered: &str| {
        fs::write(&chain, altered).unwrap();
        let error = try_open(temp.path()).map(|_| ()).unwrap_err();
        assert_eq!(fs::read_to_string(&chain).unwrap(), altered, "nothing is changed");
        error
    };
    for line in 0..3 {
        let mut altered: Vec<_> = lines.iter().map(|line| line.to_string()).collect();
        altered[line] = altered[line].replace("\"rows\":3", "\"rows\":2");
        let position = lines[..line].iter().map(|line| line.len() as u64).sum::<u64>();
        let error = check(&altered.concat());
        assert!(matches!(&error, StoreError::Damaged { path, position: at, .. } if *path == chain && *at == position));
    }
    assert!(matches!(check(&lines[1..].concat()), StoreError::Damaged { position: 0, .. }));
    assert!(matches!(check(&[lines[0], lines[2]].concat()), StoreError::Damaged { .. }));
    assert!(matches!(check(&lines[..2].concat()), StoreError::LostEvents { from: 6, to: 9, .. }));
    assert!(matches!(check(""), StoreError::LostEvents { from: 0, to: 9, .. }));
    assert_eq!(files(&temp, ".parquet").len(), 3, "no segment is taken for an orphan");
    fs::write(&chain, &text).unwrap();
    files(&temp, ".wal").iter().for_each(|wal| fs::remove_file(wal).unwrap());
    assert!(matches!(try_open(temp.path()).map(|_| ()).unwrap_err(), StoreError::Missing { .. }));
}

#[test]
fn the_clock_goes_on_after_the_latest_recorded_tick() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path());
    log.clock().advance_to(Timestamp::from_micros(1000));
    assert_eq!(append(&log, "a", 0..1).ingest_times, [Timestamp::from_micros(1001)]);
    let (schema, rows) = (schema(), rows(0..2));
    let times = [Timestamp::from_micros(5_000_000), Timestamp::from_micros(-5)];
    let request = AppendRequest { source: "a", schema: &schema, ingest: IngestTimes::Given(&times), rows: &rows };
    assert_eq!(log.append(request).unwrap(), Appended { offsets: 1..3, ingest_times: times.to_vec() });
    drop(log);
    let log = open(temp.path());
    assert_eq!(log.clock().last(), Some(Timestamp::from_micros(1001)), "given times do not move the clock");
    log.seal().unwrap();
    log.clock().advance_to(Timestamp::from_micros(2000));
    append(&log, "a", 3..4);
    log.seal().unwrap();
    drop(log);
    let log = open(temp.path());
    assert_eq!(append(&log, "a", 4..5).ingest_times, [Timestamp::from_micros(2002)]);
    let read: Vec<_> = log.scan(None, ..).unwrap().flat_map(|batch| batch.unwrap().ingest_times).collect();
    assert_eq!(read.iter().map(|time| time.as_micros()).collect::<Vec<_>>(), [1001, 5_000_000, -5, 2001, 2002]);
}

#[test]
fn a_scan_sees_what_was_durable_when_it_began() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path());
    append(&log, "a", 0..3);
    let scan = log.scan(None, ..).unwrap();
    append(&log, "a", 3..6);
    log.seal().unwrap();
    assert_eq!(files(&temp, ".wal").len(), 1);
    let offsets: Vec<_> = scan.flat_map(|batch| batch.unwrap().offsets).collect();
    assert_eq!(offsets, [0, 1, 2]);
}

#[test]
fn requests_that_cannot_be_logged_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(temp.path());
    let refuse = |source: &str, schema: Schema, ingest: IngestTimes<'_>| {
        let rows = rows(0..1);
        log.append(AppendRequest { source, schema: &schema, ingest, rows: &rows }).unwrap_err()
    };
    assert!(matches!(refuse("../a", schema(), IngestTimes::Clock), StoreError::Name(_)));
    assert!(matches!(refuse("a", schema(), IngestTimes::Given(&[])), StoreError::IngestTimes { rows: 1, found: 0 }));
    let one = |name: &str| Schema::new(vec![Field::new(name, DataType::Int64), schema().fields()[1].clone()]).unwrap();
    assert!(matches!(refuse("a", one(OFFSET_COLUMN), IngestTimes::Clock), StoreError::ReservedColumn(OFFSET_COLUMN)));
    let narrow = Schema::new(vec![Field::new("n", DataType::Int64)]).unwrap();
    assert!(matches!(refuse("a", narrow, IngestTimes::Clock), StoreError::Column(ColumnError::Columns { .. })));
    let other = Schema::new(vec![schema().fields()[1].clone(), schema().fields()[0].clone()]).unwrap();
    assert!(matches!(refuse("a", other, IngestTimes::Clock), StoreError::Column(ColumnError::Type { .. })));
    let no_nulls = |name| Field::new(name, DataType::Utf8);
    let strict = Schema::new(vec![schema().fields()[0].clone(), no_nulls("text")]).unwrap();
    assert!(matches!(refuse("a", strict, IngestTimes::Clock), StoreError::Column(ColumnError::Null { row: 0, .. })));
    let nothing = append(&log, "a", 0..0);
    assert_eq!((nothing.offsets, log.next_offset(), log.sources()), (0..0, 0, Vec::<String>::new()));
}

/// A file opened for reading stands for a disk that refuses a write.
#[test]
fn a_failed_write_ends_appending_until_the_log_is_opened_again() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    let log = open_unwritable(&dir);
    let (schema, rows) = (schema(), rows(0..1));
    let request = AppendRequest { source: "a", schema: &schema, ingest: IngestTimes::Clock, rows: &rows };
    for _ in 0..2 {
        let error = log.append(request).unwrap_err();
        assert!(matches!(&error, StoreError::LogFailed { source } if matches!(**source, StoreError::Io { .. })));
        assert!(error.hint().unwrap().contains("restart"));
    }
    assert!(matches!(log.seal().unwrap_err(), StoreError::LogFailed { .. }));
    assert_eq!((log.next_offset(), events(&log, None, ..)), (0, vec![]));
    drop((log, dir));
    assert_eq!(append(&open(temp.path()), "a", 0..1).offsets, 0..1);
}

/// A disk that is full in the middle of a large append takes some of its frames whole.
#[test]
fn a_refused_append_leaves_nothing_behind() {
    let temp = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    append(&open(other.path()), "a", 0..5);
    let frames = fs::read(Wal::path(&DataDir::open(other.path()).unwrap().log(), 0)).unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    let log = open_unwritable(&dir);
    let path = Wal::path(&dir.log(), 0);
    let header = fs::metadata(&path).unwrap().len() as usize;
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&frames[header..]).unwrap();
    let (schema, rows) = (schema(), rows(0..1));
    let request = AppendRequest { source: "a", schema: &schema, ingest: IngestTimes::Clock, rows: &rows };
    assert!(matches!(log.append(request).unwrap_err(), StoreError::LogFailed { .. }));
    drop((log, dir));
    assert_eq!(open(temp.path()).next_offset(), 0, "the frames of the refused append are gone");
}

fn open_unwritable(dir: &DataDir) -> EventLog {
    let folder = dir.log();
    let (wal, _) = Wal::create(&folder, 0).unwrap();
    let (retired, retention) = (BTreeSet::new(), BTreeMap::new());
    let state = LogState {
        seals: Vec::new(),
        retired,
        retention,
        wals: VecDeque::from([wal.clone()]),
        sources: BTreeSet::new(),
    };
    let shared = Arc::new(Shared(Mutex::new(state)));
    let clock = LogClock::new(|| Timestamp::MIN);
    let (sealer, _) = mpsc::channel();
    let file = fs::File::open(&wal.path).unwrap();
    let writer = writer::Writer {
        folder: folder.clone(),
        shared: Arc::clone(&shared),
        seal_bytes: 1 << 20,
        sealer: sealer.clone(),
        wal,
        file,
        failure: None,
    };
    let (commands, receiver) = mpsc::sync_channel(1);
    let threads = vec![thread::spawn(move || writer.run(receiver))];
    let channels = Some((commands, sealer));
    EventLog {
        inner: Arc::new(Inner { folder, clock, shared, line: Mutex::default(), channels, threads, _dir: dir.clone() }),
    }
}
