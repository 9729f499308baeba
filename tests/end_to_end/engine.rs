//! The laws of the engine: an outcome does not depend on how rows are cut, and no component hurts the host.

use std::ops::Range;

use oast_core::{
    Batch, Blobs, ColumnBuilder, DataType, Failure, Field, Fuel, Limits, Outcome, Rejection, Schema, Timestamp, Value,
};
use oast_engine::{Aggregate, Applied, EngineError, Groups, Merged, Outcomes, Plugin, Transform, Updated};
use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestCaseResult};
use serde_json::json;

use crate::{
    checks::lawless,
    golden::{assert_same, component, engine, schema},
    hostile::components::{Guest, configure},
};

const HOSTILE: &str = include_str!("components/hostile.wat");

/// How many cases each law is tried with: enough to meet every kind of row, few enough for every commit.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn configured(name: &str, params: &serde_json::Value, offered: &serde_json::Value, limits: Limits) -> Plugin {
    component(name)
        .configure(&params.to_string(), &schema(offered), limits)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn with_budget(budget_fuel: u64) -> Limits {
    Limits { budget_fuel: Fuel(budget_fuel), ..Limits::default() }
}

fn transforms() -> Vec<Plugin> {
    let columns = json!([["x", "float64?"], ["y", "float64?"], ["s", "utf8?"]]);
    let conditions = json!({ "where": [
        { "column": "x", "op": ">=", "value": 0.0 },
        { "column": "s", "op": "!=", "value": "a" }
    ] });
    vec![
        configured(
            "ratio",
            &json!({ "zero": -0.0 }),
            &json!([["x", "float64?"], ["y", "float64?"]]),
            Limits::default(),
        ),
        configured("fill", &json!({ "x": 0.5, "s": "none" }), &columns, Limits::default()),
        configured("filter", &conditions, &columns, Limits::default()),
    ]
}

fn aggregates(limits: Limits) -> Vec<Plugin> {
    vec![
        configured("moments", &json!({}), &json!([["x", "float64?"]]), limits),
        configured("last", &json!({ "nulls": "keep" }), &json!([["s", "utf8?"]]), limits),
        configured("distinct", &json!({}), &json!([["s", "utf8?"]]), limits),
    ]
}

/// A value of the field's type, or a null.
fn value_of(field: &Field) -> BoxedStrategy<Option<Value>> {
    let value = match field.data_type {
        DataType::Float64 => prop_oneof![
            any::<f64>(),
            select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, f64::MIN_POSITIVE])
        ]
        .prop_map(Value::Float64)
        .boxed(),
        DataType::Utf8 => prop_oneof!["[a-c]{0,2}", ".{0,12}", "[a-c]".prop_map(|text| text.repeat(2048))]
            .prop_map(Value::Utf8)
            .boxed(),
        DataType::Timestamp => (-3_i64..4).prop_map(|micros| Value::Timestamp(Timestamp::from_micros(micros))).boxed(),
        other => panic!("no strategy for {other}"),
    };
    if field.nullable { prop::option::weighted(0.8, value).boxed() } else { value.prop_map(Some).boxed() }
}

fn batches(schema: &Schema, rows: Range<usize>) -> BoxedStrategy<Batch> {
    let schema = schema.clone();
    let row: Vec<_> = schema.fields().iter().map(value_of).collect();
    vec(row, rows).prop_map(move |rows| batch_of(&schema, &rows)).boxed()
}

pub(crate) fn batch_of(schema: &Schema, rows: &[Vec<Option<Value>>]) -> Batch {
    let column = |(at, field): (usize, &Field)| {
        let mut builder = ColumnBuilder::new(field.data_type);
        rows.iter().for_each(|row| builder.push(row[at].as_ref()));
        builder.finish()
    };
    Batch { rows: rows.len(), columns: schema.fields().iter().enumerate().map(column).collect() }
}

/// The numbers of the rows in another order, and where to cut them.
fn order_and_cuts(rows: usize) -> impl Strategy<Value = (Vec<u32>, Vec<usize>)> {
    let order = Just((0..rows as u32).collect::<Vec<_>>()).prop_shuffle();
    (
        order,
        vec(0..=rows, 0..4).prop_map(|mut cuts| {
            cuts.sort_unstable();
            cuts
        }),
    )
}

fn with_order_and_cuts(batches: BoxedStrategy<Batch>) -> BoxedStrategy<(Batch, Vec<u32>, Vec<usize>)> {
    let add = |rows: Batch| order_and_cuts(rows.rows).prop_map(move |(order, cuts)| (rows.clone(), order, cuts));
    batches.prop_flat_map(add).boxed()
}

/// The ranges between cuts, some of them empty.
fn ranges(cuts: &[usize], end: usize) -> impl Iterator<Item = Range<usize>> {
    let starts = [0].into_iter().chain(cuts.iter().copied()).collect::<Vec<_>>();
    starts.into_iter().zip(cuts.iter().copied().chain([end]).collect::<Vec<_>>()).map(|(start, end)| start..end)
}

/// What came of ranges of rows that went in one after the other.
fn apply_in_ranges(transform: Transform<'_>, rows: &Batch, ranges: impl Iterator<Item = Range<usize>>) -> Applied {
    let mut all = transform.apply(&rows.slice(0, 0)).expect("an empty batch runs");
    for range in ranges {
        let part = transform.apply(&rows.slice(range.start, range.end)).expect("the rows run");
        all.kept.extend(part.kept.iter().map(|row| row + range.start as u32));
        all.outcomes.extend(part.outcomes.iter().cloned());
        all.rows.append(&part.rows);
    }
    all
}

fn assert_same_outcomes(context: &str, found: &Applied, expected: &Applied) {
    assert_eq!(found.outcomes, expected.outcomes, "{context}");
    assert_eq!(found.kept, expected.kept, "{context}");
    assert_same(context, &found.rows, &expected.rows);
}

/// Rows together, in other cuts and in another order have the outcomes of their canonical runs, in instances that are used once
/// and in those that last.
fn check_transform(plugin: &Plugin, rows: &Batch, order: &[u32], cuts: &[usize]) -> TestCaseResult {
    let single = plugin.transform().expect("a transform");
    let canonical = |rows: &Batch| apply_in_ranges(single, rows, (0..rows.rows).map(|row| row..row + 1));
    let expected = canonical(rows);
    let shuffled = rows.take(order);
    let expected_shuffled = canonical(&shuffled);
    for transform in [single, single.lasting()] {
        assert_same_outcomes("together", &transform.apply(rows).expect("the batch runs"), &expected);
        assert_same_outcomes("cut", &apply_in_ranges(transform, rows, ranges(cuts, rows.rows)), &expected);
        let applied = transform.apply(&shuffled).expect("the batch runs");
        assert_same_outcomes("shuffled", &applied, &expected_shuffled);
        let outcomes = order.iter().map(|row| expected.outcomes[*row as usize].clone()).collect();
        prop_assert_eq!(applied.outcomes, outcomes);
    }
    Ok(())
}

/// Rows folded one by one, each in a canonical run; with the rows that failed.
fn update_stepwise(aggregate: Aggregate<'_>, rows: &Batch) -> Updated {
    let mut all = Updated { states: Blobs::concat(&[b""]), ..Updated::default() };
    for row in 0..rows.rows {
        let step = aggregate.update(&[all.states.get(0)], &[1], &rows.slice(row, row + 1)).expect("the row folds");
        all.failures.extend(step.failures.into_iter().map(|(_, failure)| (row as u32, failure)));
        all.states = step.states;
    }
    all
}

/// One call, several calls and many states in one call give the bytes and the failures of folding row by row, in instances that
/// are used once and in those that last.
fn check_update(single: Aggregate<'_>, rows: &Batch, cuts: &[usize]) -> TestCaseResult {
    let stepwise = update_stepwise(single, rows);
    let runs: Vec<_> = ranges(cuts, rows.rows).collect();
    let counts: Vec<u32> = runs.iter().map(|run| run.len() as u32).collect();
    let (mut states, mut failures) = (Blobs::default(), Vec::new());
    for run in runs {
        let alone = update_stepwise(single, &rows.slice(run.start, run.end));
        failures.extend(alone.failures.into_iter().map(|(row, failure)| (row + run.start as u32, failure)));
        states.append(&alone.states);
    }
    for aggregate in [single, single.lasting()] {
        let at_once = aggregate.update(&[&[]], &[rows.rows as u32], rows).expect("the rows fold");
        prop_assert_eq!(&at_once.failures, &stepwise.failures);
        prop_assert_eq!(&at_once.states, &stepwise.states);
        let together = aggregate.update(&vec![&[][..]; counts.len()], &counts, rows).expect("the runs fold");
        prop_assert_eq!(&together.failures, &failures);
        prop_assert_eq!(&together.states, &states);
        check_groups(aggregate, single, &states)?;
    }
    Ok(())
}

/// Groups of states merge and finish in one call as each of them does in a call of its own.
fn check_groups(aggregate: Aggregate<'_>, single: Aggregate<'_>, states: &Blobs) -> TestCaseResult {
    let groups: Vec<Range<usize>> =
        (0..states.len()).step_by(2).map(|start| start..states.len().min(start + 2)).collect();
    let counts: Vec<u32> = groups.iter().map(|group| group.len() as u32).collect();
    let merged = aggregate.merge(Groups::new(states, &counts)).expect("the states merge");
    let finished = aggregate.finish(Groups::new(states, &counts)).expect("the states finish");
    for (at, group) in groups.into_iter().enumerate() {
        let states = states.slice(group.start, group.end);
        let alone = Groups::new(&states, &counts[at..=at]);
        let Merged { states, failures } = single.merge(alone).expect("the group merges");
        prop_assert_eq!(states.get(0), merged.states.get(at));
        let failure = merged.failures.iter().find(|(group, _)| *group == at as u32).map(|(_, failure)| failure);
        prop_assert_eq!(failures.first().map(|(_, failure)| failure), failure);
        let alone = single.finish(alone).expect("the group finishes");
        prop_assert_eq!(&alone.failures[0], &finished.failures[at]);
        assert_same("finished", &alone.rows, &finished.rows.slice(at, at + 1));
    }
    Ok(())
}

fn run_law<S: Strategy>(count: u32, strategy: &S, law: impl Fn(S::Value) -> TestCaseResult) {
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        cases(count),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    if let Err(error) = runner.run(strategy, law) {
        panic!("{}", error.to_string().chars().take(2000).collect::<String>());
    }
}

#[test]
fn a_batch_equals_its_rows() {
    for plugin in transforms() {
        let rows = with_order_and_cuts(batches(&plugin.descriptor().input, 0..24));
        run_law(24, &rows, |(rows, order, cuts)| check_transform(&plugin, &rows, &order, &cuts));
    }
}

#[test]
fn folding_at_once_equals_folding_row_by_row() {
    for plugin in aggregates(Limits::default()) {
        let rows = with_order_and_cuts(batches(&plugin.descriptor().input, 0..16));
        let aggregate = plugin.aggregate().expect("an aggregate");
        run_law(16, &rows, |(rows, _, cuts)| check_update(aggregate, &rows, &cuts));
    }
}

/// A component whose rows say what to do, see `components/hostile.wat`.
fn hostile(limits: Limits) -> Plugin {
    take(&hostile_text(DataType::Int64, &[]), limits).expect("it configures")
}

fn hostile_text(input: DataType, output: &[DataType]) -> String {
    Guest { configure: configure(&[input], output), apply: HOSTILE.to_owned(), options: "" }.text()
}

fn take(text: &str, limits: Limits) -> Result<Plugin, EngineError> {
    let bytes = wat::parse_str(text).expect("a component as text");
    engine().load(&bytes)?.configure("{}", &Schema::default(), limits)
}

fn int64s(values: &[i64]) -> Batch {
    let field = Schema::new(vec![Field::new("x", DataType::Int64)]).expect("one name");
    batch_of(&field, &values.iter().map(|value| vec![Some(Value::Int64(*value))]).collect::<Vec<_>>())
}

/// Rows that need about as much fuel as there is, and rows that need all there is, die in a batch as they die alone.
#[test]
fn rows_run_out_of_fuel_in_any_company_alike() {
    let kinds = prop_oneof![4 => 100_i64..600, 1 => 0_i64..11];
    let rows = vec(kinds, 0..24).prop_map(|values| int64s(&values)).boxed();
    let mut out_of_fuel = 0;
    for budget in [500, 1000, 2000, 2500] {
        let plugin = hostile(with_budget(budget));
        run_law(16, &with_order_and_cuts(rows.clone()), |(rows, order, cuts)| {
            check_transform(&plugin, &rows, &order, &cuts)
        });
        let applied = plugin.transform().expect("a transform").apply(&int64s(&(100..600).collect::<Vec<_>>()));
        let outcomes = applied.expect("the batch runs").outcomes;
        out_of_fuel += outcomes.iter().filter(|outcome| **outcome == Failure::OutOfFuel.into()).count();
    }
    assert!(
        (1..2000).contains(&out_of_fuel),
        "the budgets lie among the costs: {out_of_fuel} of 2000 rows ran out of fuel"
    );
}

/// An instance sets something up at its first call, which every row would do alone: a row that cannot afford it besides itself must
/// not pass because an instance that lasts has done so before.
#[test]
fn what_an_instance_did_once_counts_for_every_row() {
    let setup = "(if (i32.eq (global.get $calls) (i32.const 1)) (then (call $loop (i32.const 20000))))";
    let dear = "(if (i64.eq (local.get $x) (i64.const 7)) (then (call $loop (i32.const 90000)))) (i32.const 0)";
    let component = engine().load(&lawless(dear, setup)).expect("it is a component");
    let of_both = component.configure("{}", &Schema::default(), Limits::default()).expect("it configures");
    let Fuel(needed) = of_both.transform().expect("a transform").apply(&int64s(&[7])).expect("it runs").consumed;
    // Fuel is looked at once a turn of a loop, so that a few units more or less show nothing.
    for (budget, expected) in [(needed + 1000, Outcome::Keep), (needed - 1000, Failure::OutOfFuel.into())] {
        let plugin = component.configure("{}", &Schema::default(), with_budget(budget)).expect("it configures");
        let transform = plugin.transform().expect("a transform");
        for transform in [transform, transform.lasting()] {
            for _ in 0..3 {
                let cheap = transform.apply(&int64s(&[1, 2])).expect("they run").outcomes;
                assert_eq!(cheap, [Outcome::Keep, Outcome::Keep].into_iter().collect());
                let outcomes = transform.apply(&int64s(&[7, 1])).expect("they run").outcomes;
                assert_eq!(outcomes, [expected.clone(), Outcome::Keep].into_iter().collect());
            }
        }
    }
}

/// The least budget with which the plugins configure: there is one budget for `configure` and for a row.
fn least_budget(configures: impl Fn(u64) -> bool) -> u64 {
    let (mut too_little, mut enough) = (0, 1 << 20);
    while enough - too_little > 1 {
        let middle = too_little + (enough - too_little) / 2;
        if configures(middle) { enough = middle } else { too_little = middle }
    }
    enough
}

/// A state that grows costs more to read and write with every row: the rows that no longer fit are the same in one call.
#[test]
fn folding_at_once_runs_out_of_fuel_like_folding_row_by_row() {
    let mut failed = 0;
    for (name, offered) in [("moments", json!([["x", "float64?"]])), ("distinct", json!([["s", "utf8?"]]))] {
        let least =
            least_budget(|budget| component(name).configure("{}", &schema(&offered), with_budget(budget)).is_ok());
        for budget in [least, least * 5 / 4, least * 2] {
            let plugin = configured(name, &json!({}), &offered, with_budget(budget));
            let aggregate = plugin.aggregate().expect("an aggregate");
            let input = &plugin.descriptor().input;
            let rows = with_order_and_cuts(batches(input, 0..64));
            run_law(12, &rows, |(rows, _, cuts)| check_update(aggregate, &rows, &cuts));
            let number = |row: u32| match input.fields()[0].data_type {
                DataType::Float64 => Value::Float64(f64::from(row)),
                _ => Value::Utf8(row.to_string()),
            };
            let many = batch_of(input, &(0..400).map(|row| vec![Some(number(row))]).collect::<Vec<_>>());
            let at_once = aggregate.update(&[&[]], &[400], &many).expect("the rows fold");
            assert_eq!(at_once.failures, update_stepwise(aggregate, &many).failures, "{name}, {budget}");
            failed += at_once.failures.len();
        }
    }
    assert!(failed > 0, "some budget is too small for some state");
}

#[test]
fn rows_die_as_they_are_told_and_spare_their_neighbours() {
    let trap = |name: &str| Outcome::from(Failure::Trap(name.to_owned()));
    let malformed = |what: &str| Outcome::from(Failure::Malformed(what.to_owned()));
    let error = Rejection { code: "error".to_owned(), message: String::new() };
    let told = [
        (0, Outcome::Keep),
        (1, Failure::OutOfFuel.into()),
        (2, trap("wasm `unreachable` instruction executed")),
        (3, Failure::OutOfStack.into()),
        (4, Failure::OutOfMemory.into()),
        (5, Outcome::Keep),
        (6, Outcome::Keep),
        (7, error.into()),
        (8, malformed("2 rows for 1")),
        (9, trap("integer divide by zero")),
        (10, trap("out of bounds memory access")),
        (0, Outcome::Keep),
    ];
    let plugin = hostile(with_budget(1_000_000));
    let (rows, expected): (Vec<i64>, Outcomes) = told.into_iter().unzip();
    let applied = plugin.transform().expect("a transform").apply(&int64s(&rows)).expect("the batch runs");
    assert_eq!(applied.outcomes, expected);
    assert_eq!((applied.kept, applied.rows.rows), (vec![0, 5, 6, 11], 4));
}

/// A guest that takes no for an answer is no failure of the host.
#[test]
fn a_guest_may_ask_for_four_gibibytes_after_it_has_grown() {
    let plugin = hostile(Limits::default());
    let applied = plugin.transform().expect("a transform").apply(&int64s(&[6, 5])).expect("the batch runs");
    assert_eq!(applied.outcomes, [Outcome::Keep, Outcome::Keep].into_iter().collect());
}

fn check_refused(text: &str, limits: Limits, expected: &str) {
    let error = take(text, limits).err().unwrap_or_else(|| panic!("taken, where this was expected: {expected}"));
    assert_eq!(format!("{:#}", anyhow::Error::new(error)), expected);
}

#[test]
fn components_that_break_the_contract_are_refused() {
    check_refused(
        &hostile_text(DataType::Vector(0), &[]),
        Limits::default(),
        "the descriptor is malformed: column `x` is a vector without values",
    );
    check_refused(
        &hostile_text(DataType::Vector(u32::MAX), &[DataType::Vector(u32::MAX)]),
        Limits::default(),
        "the descriptor is malformed: a row has 17179869180 bytes of vectors, more than the limit of 1048576",
    );
    check_refused(
        &hostile_text(DataType::Int64, &[]),
        Limits { memory_bytes: 1 << 16, ..Limits::default() },
        "`configure` ran out of memory",
    );
    check_refused(
        &hostile_text(DataType::Int64, &[]).replace(r#"(record (field "row" u32)"#, r#"(record (field "row" s32)"#),
        Limits::default(),
        "not a component that Oast can run: failed to convert function to given type: type mismatch with results: type \
         mismatch for field rejections: type mismatch for field row: expected `u32` found `s32`",
    );
    check_refused(
        r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)) (import "wasi:cli/exit@0.2.0" (instance)))"#,
        Limits::default(),
        "the component imports `wasi:clocks/wall-clock@0.2.0`, `wasi:cli/exit@0.2.0`, and a component may import nothing",
    );
}

#[test]
fn a_component_that_was_cut_off_is_refused() {
    for plugin in oast_plugins::standard() {
        let length = plugin.component.len();
        for end in (0..64).map(|part| length * part / 64).chain(length - 16..length) {
            let error = engine().load(&plugin.component[..end]).err();
            assert!(
                matches!(error, Some(EngineError::Invalid(_) | EngineError::World(_))),
                "{}, {end}: {error:?}",
                plugin.name
            );
        }
    }
}

/// Rows of more bytes than the arena of the SDK has, so that the guest has to grow its memory.
#[test]
fn a_batch_larger_than_the_arena_equals_its_rows() {
    for plugin in aggregates(Limits::default()).iter().skip(1) {
        let rows = (0..4096).map(|row| {
            let text = Some(Value::Utf8(format!("{row:>2048}")));
            [text, Some(Value::Timestamp(Timestamp::from_micros(row % 1000)))][..plugin.descriptor().input.len()]
                .to_vec()
        });
        let rows = batch_of(&plugin.descriptor().input, &rows.collect::<Vec<_>>());
        let aggregate = plugin.aggregate().expect("an aggregate");
        let at_once = aggregate.update(&[&[]], &[4096], &rows).expect("the rows fold");
        let mut state = Vec::new();
        for start in (0..4096).step_by(64) {
            let step = aggregate.update(&[&state], &[64], &rows.slice(start, start + 64)).expect("the rows fold");
            assert_eq!(step.failures, []);
            state = step.states.get(0).to_vec();
        }
        assert_eq!(
            (at_once.states, at_once.failures),
            (Blobs::concat(&[&state]), vec![]),
            "{}",
            plugin.descriptor().name
        );
    }
}

/// A column cut from one with nulls used to bring a validity without a null, and a row cost what its neighbours made it cost.
#[test]
fn a_row_costs_the_same_whatever_it_was_cut_from() {
    for plugin in transforms() {
        let input = &plugin.descriptor().input;
        let values = [Some(Value::Float64(1.0)), Some(Value::Utf8("b".to_owned()))];
        let of_type = |field: &Field| values[usize::from(field.data_type == DataType::Utf8)].clone();
        let sound: Vec<_> = input.fields().iter().map(of_type).collect();
        let alone = batch_of(input, std::slice::from_ref(&sound));
        let mut with_validity = alone.clone();
        with_validity.columns.iter_mut().for_each(|column| column.validity = Some(vec![1]));
        let cut = batch_of(input, &[vec![None; input.len()], sound]).slice(1, 2);
        let transform = plugin.transform().expect("a transform");
        let expected = transform.apply(&alone).expect("the row runs");
        for rows in [cut, with_validity] {
            assert_eq!(transform.apply(&rows).expect("the row runs"), expected, "{}", plugin.descriptor().name);
        }
    }
}

/// A broken state without rows used to be reported as a failure of the next state's first row.
#[test]
fn a_state_without_rows_stays_as_it_is() {
    for plugin in aggregates(Limits::default()) {
        let input = &plugin.descriptor().input;
        let row = input.fields().iter().map(|field| match field.data_type {
            DataType::Timestamp => Some(Value::Timestamp(Timestamp::from_micros(1))),
            _ => None,
        });
        let rows = batch_of(input, &[row.collect()]);
        let aggregate = plugin.aggregate().expect("an aggregate");
        let alone = aggregate.update(&[&[]], &[1], &rows).expect("the row folds");
        let updated = aggregate.update(&[b"broken", &[], b"broken"], &[0, 1, 0], &rows).expect("the row folds");
        assert_eq!(updated.failures, [], "{}", plugin.descriptor().name);
        assert_eq!(updated.states, Blobs::concat(&[b"broken", alone.states.get(0), b"broken"]));
    }
}

/// A run of rows writes the state once, so that it used to pass within a budget that one of its rows alone exceeds.
#[test]
fn a_run_of_rows_passes_only_where_its_rows_do() {
    let offered = json!([["s", "utf8?"]]);
    let row =
        |text: String, micros| vec![Some(Value::Utf8(text)), Some(Value::Timestamp(Timestamp::from_micros(micros)))];
    let generous = configured("first", &json!({}), &offered, Limits::default());
    let rows = batch_of(&generous.descriptor().input, &[row("x".repeat(4096), 1), row("early".to_owned(), 0)]);
    let aggregate = generous.aggregate().expect("an aggregate");
    let Fuel(of_one) = aggregate.update(&[&[]], &[1], &rows.slice(0, 1)).expect("the row folds").consumed;
    let Fuel(of_both) = aggregate.update(&[&[]], &[2], &rows).expect("the rows fold").consumed;
    assert!(of_both < of_one / 2, "{of_both} of {of_one}: these rows no longer show what the test is for");
    let early = aggregate.update(&[&[]], &[1], &rows.slice(1, 2)).expect("the row folds").states;

    let tight = configured("first", &json!({}), &offered, with_budget(of_one / 4 * 3));
    let at_once = tight.aggregate().expect("an aggregate").update(&[&[]], &[2], &rows).expect("the rows fold");
    assert_eq!((at_once.states, at_once.failures), (early, vec![(0, Failure::OutOfFuel)]));
}

/// A run used to hide a state that was too large after one of its rows and small again after the next.
#[test]
fn a_state_that_is_too_large_for_a_moment_fails_its_row_in_any_run() {
    let limits = Limits { output_bytes: 1024, ..Limits::default() };
    let plugin = configured("last", &json!({ "nulls": "keep" }), &json!([["s", "utf8?"]]), limits);
    let aggregate = plugin.aggregate().expect("an aggregate");
    let lengths = (0..300_usize).map(|row| if row % 3 == 1 { 900 + row } else { row % 7 });
    let rows = lengths.enumerate().map(|(row, length)| {
        vec![Some(Value::Utf8("x".repeat(length))), Some(Value::Timestamp(Timestamp::from_micros(row as i64)))]
    });
    let rows = batch_of(&plugin.descriptor().input, &rows.collect::<Vec<_>>());
    let stepwise = update_stepwise(aggregate, &rows);
    assert!((50..100).contains(&stepwise.failures.len()), "{}", stepwise.failures.len());
    let at_once = aggregate.update(&[&[]], &[300], &rows).expect("the rows fold");
    assert_eq!((at_once.states, at_once.failures), (stepwise.states, stepwise.failures));
}
