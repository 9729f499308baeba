//! The page of the standard plugins, `docs/plugins.md`: what the descriptors say, an example from the golden vectors,
//! and the fuel that the example consumed.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use oast_sdk::{BatchAggregate, BatchTransform, Fold, Json, MergeLaw, Params, Plugin};

/// Setting this writes the page instead of checking it.
const UPDATE: &str = "OAST_UPDATE_PAGE";

const HEAD: &str = "# The standard plugins

This page is generated from the plugins themselves; `OAST_UPDATE_PAGE=1 cargo test -p oast-plugins` writes it anew.

A definition names a plugin, gives it columns with `input` and names what comes out with `output`. Without `input` a
transform sees every column of the row; without `output` the columns have the names below. A column that is called as one
of the row replaces it. `?` marks what may be null. The examples are taken from the golden vectors, which also say what
every wrong parameter answers: `plugins/NAME/golden.json`. What other software computes is in `plugins/NAME/oracle.json`.

The cost is the fuel that the example consumed, divided by its rows; a unit of fuel is about one WebAssembly instruction. A
call has a cost of its own, some thousand, so that rows in large batches cost less than these few.
";

/// The rows of an example that are shown.
const ROWS_MAX: usize = 6;

/// What the page says of one plugin.
struct Entry {
    name: &'static str,
    text: String,
}

#[test]
fn the_page_is_what_the_plugins_say() {
    let entries = entries();
    let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
    let standard: Vec<&str> = super::standard().iter().map(|plugin| plugin.name).collect();
    assert_eq!(names, standard, "every standard plugin is on the page");
    let mut page = HEAD.to_owned();
    entries.iter().for_each(|entry| page.push_str(&entry.text));
    let path = repository("docs/plugins.md");
    if env::var_os(UPDATE).is_some() {
        fs::write(&path, &page).expect("the page can be written");
    }
    let found = fs::read_to_string(&path).expect("the page can be read");
    let line = page.lines().zip(found.lines()).position(|(expected, found)| expected != found);
    assert!(
        page == found,
        "docs/plugins.md is not what the plugins say, from line {:?} on: run the test again with {UPDATE}=1 and commit it",
        line.map(|line| line + 1)
    );
}

fn entries() -> Vec<Entry> {
    vec![
        transform::<oast_arith::Arith>(),
        aggregate::<Fold<oast_bool_counts::BoolCounts>>(),
        transform::<oast_bucketize::bucketize>(),
        transform::<oast_cast::Cast>(),
        transform::<oast_clip::clip>(),
        aggregate::<oast_collect_set::CollectSet>(),
        aggregate::<Fold<oast_correlation::Correlation>>(),
        aggregate::<oast_distinct::Distinct>(),
        aggregate::<Fold<oast_ewma::Ewma>>(),
        aggregate::<oast_extrema::Extrema>(),
        transform::<oast_fill::Fill>(),
        transform::<oast_filter::Filter>(),
        aggregate::<oast_first::First>(),
        transform::<oast_geo::Geo>(),
        transform::<oast_hash_encode::HashEncode>(),
        transform::<oast_hash_pii::HashPii>(),
        aggregate::<oast_histogram::Histogram>(),
        transform::<oast_json_extract::JsonExtract>(),
        aggregate::<oast_last::Last>(),
        aggregate::<oast_last_n::LastN>(),
        aggregate::<Fold<oast_moments::Moments>>(),
        transform::<oast_normalize_vector::NormalizeVector>(),
        transform::<oast_one_hot::OneHot>(),
        transform::<oast_power::power>(),
        aggregate::<oast_quantiles::Quantiles>(),
        aggregate::<oast_rate::Rate>(),
        transform::<oast_ratio::ratio>(),
        transform::<oast_scale::scale>(),
        transform::<oast_string::Text>(),
        transform::<oast_target_encode::TargetEncode>(),
        transform::<oast_text_hash::TextHash>(),
        transform::<oast_time_parts::TimeParts>(),
        aggregate::<oast_top_k::TopK>(),
    ]
}

fn transform<T: BatchTransform>() -> Entry {
    entry::<T, T::Params>("A row transform.")
}

fn aggregate<A: BatchAggregate>() -> Entry {
    let order =
        if A::ORDER_SENSITIVE { "The order of the rows matters." } else { "The order of the rows does not matter." };
    let law = match A::MERGE_LAW {
        MergeLaw::Exact => "merging states is exact",
        MergeLaw::Rounded => "merging states is exact but for rounding",
        MergeLaw::Approximate => "merged states keep within the stated error",
    };
    entry::<A, A::Params>(&format!("An aggregate; {law}. {order}"))
}

fn entry<P: Plugin, S: Params>(kind: &str) -> Entry {
    let mut text = format!("\n## {}\n\n{kind}\n\n{}\n", P::NAME, P::DOCUMENTATION);
    let params = S::documentation();
    if !params.is_empty() {
        write!(text, "\n### Parameters\n\n{}", params.replace(" \n", "\n"))
            .expect("a string takes whatever is written to it");
    }
    let golden = fs::read_to_string(repository(&format!("plugins/{}/golden.json", P::NAME))).expect("golden.json");
    let golden: Json = golden.parse().expect("golden.json is JSON");
    let runs = |case: &&Json| case["rows"].as_array().is_some_and(|rows| !rows.is_empty());
    let case = golden["cases"].as_array().and_then(|cases| cases.iter().find(runs)).expect("a case that runs");
    text.push_str(&example(P::NAME, case));
    text.push_str(&cost(P::NAME, case));
    Entry { name: P::NAME, text }
}

fn example(plugin: &str, case: &Json) -> String {
    let columns = |key: &str| {
        let pairs = case[key].as_array().map_or(&[][..], Vec::as_slice);
        let column = |pair: &Json| format!("`{}` {}", text(&pair[0]), text(&pair[1]));
        pairs.iter().map(column).collect::<Vec<_>>()
    };
    let params = if case["params"] == serde_json::json!({}) {
        String::new()
    } else {
        format!(", params = {}", toml(&case["params"]))
    };
    let mut example = format!("\n### Example\n\n`{{ plugin = \"{plugin}\"{params} }}`: {}.\n\n", text(&case["name"]));
    let rows = case["rows"].as_array().expect("rows");
    let shown = &rows[..rows.len().min(ROWS_MAX)];
    match &case["folds"][0]["expect"] {
        Json::Null => {
            let heads =
                [columns("input"), columns("output").iter().map(|column| format!("→ {column}")).collect()].concat();
            let line = |(row, expect): (&Json, &Json)| [cells(row), outcome(expect, columns("output").len())].concat();
            let expect = case["expect"].as_array().expect("an outcome a row");
            table(&mut example, &heads, shown.iter().zip(expect).map(line));
        }
        // An aggregate is shown with all of its rows, or the result would not follow.
        finished => {
            table(&mut example, &columns("input"), rows.iter().map(cells));
            example.push_str("\ngive\n\n");
            table(&mut example, &columns("output"), [cells(finished)].into_iter());
        }
    }
    example
}

fn table(page: &mut String, heads: &[String], rows: impl Iterator<Item = Vec<String>>) {
    let mut line = |cells: &[String]| {
        writeln!(page, "| {} |", cells.join(" | ")).expect("a string takes whatever is written to it");
    };
    line(heads);
    line(&vec!["---".to_owned(); heads.len()]);
    rows.for_each(|cells| line(&cells));
}

fn cells(row: &Json) -> Vec<String> {
    row.as_array().map_or(&[][..], Vec::as_slice).iter().map(cell).collect()
}

fn cell(value: &Json) -> String {
    let text = value.to_string().replace('|', "\\|").replace(',', ", ");
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("`{} …`", &text[..end]),
        None => format!("`{text}`"),
    }
}

/// The cells of a row that is kept, or what becomes of another.
fn outcome(expect: &Json, columns: usize) -> Vec<String> {
    if expect.is_array() {
        return cells(expect);
    }
    let outcome = expect["reject"].as_str().map_or("dropped".to_owned(), |code| format!("rejected: {code}"));
    vec![outcome; columns]
}

/// What the case consumed, as the end-to-end tests have found it.
fn cost(plugin: &str, case: &Json) -> String {
    let fuel = fs::read_to_string(repository("tests/golden/fuel.txt")).expect("fuel.txt");
    let consumed = |call: &str| {
        let start = format!("{plugin}, {}, {call}: ", text(&case["name"]));
        fuel.lines().find_map(|line| line.strip_prefix(&start)?.parse::<u64>().ok())
    };
    let rows = case["rows"].as_array().map_or(1, Vec::len) as u64;
    let per_row = |total: u64| total.div_ceil(rows);
    match (
        consumed("as a batch").or(consumed("update in one call")),
        consumed("row by row").or(consumed("update row by row")),
    ) {
        (Some(batch), Some(alone)) => {
            format!(
                "\nCost: {} fuel a row as a batch of {rows}, {} in a call of its own.\n",
                per_row(batch),
                per_row(alone)
            )
        }
        _ => String::new(),
    }
}

/// A value as an inline value of TOML.
fn toml(json: &Json) -> String {
    match json {
        Json::Object(object) => {
            let is_bare = |key: &str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            let key = |key: &String| if is_bare(key) { key.clone() } else { Json::from(key.as_str()).to_string() };
            let pairs: Vec<String> =
                object.iter().map(|(name, value)| format!("{} = {}", key(name), toml(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Json::Array(list) => format!("[{}]", list.iter().map(toml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
