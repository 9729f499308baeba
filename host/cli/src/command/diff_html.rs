//! The account of a comparison as one HTML page with nothing to load: text, tables and plots in SVG.

use std::fmt::Write;

use oast_runtime::{Bin, DiffReport, FeatureDiff, VersionEntry};

use super::{diff::number, lookup::shown};
use crate::output::thousands;

/// The measures of a plot, in pixels.
const PLOT: (usize, usize) = (440, 120);

const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1d2433; }
code { font-size: .85em; } h2 { margin-top: 2.5rem; } h3 { margin-bottom: .2rem; }
table { border-collapse: collapse; } th, td { text-align: right; padding: .2rem .8rem; border-bottom: 1px solid #dde1ea; }
th { color: #5b6478; font-weight: 500; } th:first-child, td:first-child, td.text, .versions th, .versions td { text-align: left; }
.versions code { overflow-wrap: anywhere; }
.before { fill: #8a94a8; } .after { fill: #d9722e; } .shifted { color: #b3261e; font-weight: 600; }
.key span { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em; }
svg text { font-size: 10px; fill: #5b6478; }
";

/// The page.
pub(super) fn page(report: &DiffReport) -> String {
    let title = format!("{} compared with {}", report.after.name, report.before.name);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n",
        title = escaped(&title),
    );
    page.push_str("<table class=\"versions\"><tr><th></th><th>name</th><th>version</th><th>dataset</th></tr>");
    page.push_str(&version_row("before", &report.before));
    page.push_str(&version_row("after", &report.after));
    let (changed, rows) = (thousands(report.rows_changed), thousands(report.rows));
    append(&mut page, format_args!("</table>\n<p>{changed} of {rows} rows differ.</p>\n"));
    for (label, names) in [("Only before", &report.removed), ("Only after", &report.added)] {
        if !names.is_empty() {
            append(&mut page, format_args!("<p>{label}: {}</p>\n", escaped(&names.join(", "))));
        }
    }
    let mut features: Vec<&FeatureDiff> = report.features.iter().collect();
    features.sort_by(|a, b| a.by_difference(b));
    push_features(&mut page, &features);
    push_rows(&mut page, report);
    push_plots(&mut page, &features);
    page.push_str("</body></html>\n");
    page
}

fn append(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a string takes all that is written to it");
}

fn version_row(label: &str, version: &VersionEntry) -> String {
    let (kind, name) = (&version.kind, escaped(&version.name));
    let (hash, dataset) = (&version.version, &version.dataset);
    format!(
        "<tr><td>{label}</td><td>{kind} {name}</td><td><code>{hash}</code></td><td><code>{dataset}</code></td></tr>"
    )
}

fn push_features(page: &mut String, features: &[&FeatureDiff]) {
    page.push_str("<h2>Features</h2>\n<table><tr><th>feature</th><th>rows changed</th><th>became null</th>");
    page.push_str("<th>became present</th><th>mean before</th><th>mean after</th><th>mean difference</th>");
    page.push_str("<th>largest difference</th><th>PSI</th><th>KS</th></tr>\n");
    for feature in features {
        append(page, format_args!("<tr><td>{}</td>", escaped(&feature.name)));
        for rows in [feature.changed, feature.became_null, feature.became_present] {
            append(page, format_args!("<td>{}</td>", thousands(rows)));
        }
        let means = [feature.mean_before, feature.mean_after, feature.distance_mean, feature.distance_max];
        means.into_iter().for_each(|mean| append(page, format_args!("<td>{}</td>", number(mean))));
        let psi = feature.distribution.psi;
        let class = if psi > 0.25 { " class=\"shifted\"" } else { "" };
        append(page, format_args!("<td{class}>{psi:.4}</td><td>{}</td></tr>\n", number(feature.distribution.ks)));
    }
    page.push_str("</table>\n<p>PSI below 0.1 is commonly read as stable, above 0.25 as shifted.</p>\n");
}

fn push_rows(page: &mut String, report: &DiffReport) {
    if report.rows_most.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Rows that differ most</h2>\n<table><tr><th>row</th><th>of</th><th>features</th><th>values</th></tr>\n",
    );
    for row in &report.rows_most {
        let of: Vec<String> = row.spine.values().map(|value| escaped(&shown(value))).collect();
        let values = row.features.iter().map(|(name, before, after)| {
            format!("{}: {} → {}", escaped(name), escaped(&shown(before)), escaped(&shown(after)))
        });
        let values: Vec<String> = values.collect();
        append(
            page,
            format_args!(
                "<tr><td>{}</td><td class=\"text\">{}</td><td>{}</td><td class=\"text\">{}</td></tr>\n",
                thousands(row.row),
                of.join(" "),
                row.changed,
                values.join("<br>")
            ),
        );
    }
    page.push_str("</table>\n");
}

fn push_plots(page: &mut String, features: &[&FeatureDiff]) {
    page.push_str("<h2>Distributions</h2>\n<p class=\"key\"><span style=\"background:#8a94a8\"></span>before");
    page.push_str("<span style=\"background:#d9722e\"></span>after</p>\n");
    for feature in features {
        append(page, format_args!("<h3>{}</h3>\n{}\n", escaped(&feature.name), plot(&feature.distribution.bins)));
    }
}

/// Two bars a bin, as high as its share of the rows of its version.
fn plot(bins: &[Bin]) -> String {
    let (width, height) = PLOT;
    let totals = bins.iter().fold((0, 0), |sum, bin| (sum.0 + bin.before, sum.1 + bin.after));
    let share = |count: u64, total: u64| count as f64 / total.max(1) as f64;
    let shares: Vec<(f64, f64)> =
        bins.iter().map(|bin| (share(bin.before, totals.0), share(bin.after, totals.1))).collect();
    let highest = shares.iter().fold(f64::MIN_POSITIVE, |highest, (before, after)| highest.max(*before).max(*after));
    let step = width as f64 / bins.len().max(1) as f64;
    let mut svg = format!("<svg role=\"img\" width=\"{width}\" height=\"{}\">", height + 4);
    for (at, (bin, (before, after))) in bins.iter().zip(&shares).enumerate() {
        let left = at as f64 * step;
        let (counts, name) = ((thousands(bin.before), thousands(bin.after)), escaped(&bin.name));
        append(&mut svg, format_args!("<g><title>{name}: {} → {}</title>", counts.0, counts.1));
        for (class, share, offset) in [("before", before, 0.08), ("after", after, 0.5)] {
            let (bar, x) = (share / highest * height as f64, left + offset * step);
            let (y, wide) = (height as f64 - bar, 0.42 * step);
            append(
                &mut svg,
                format_args!(
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{bar:.1}\"/>"
                ),
            );
        }
        svg.push_str("</g>");
    }
    append(
        &mut svg,
        format_args!("<line x1=\"0\" y1=\"{height}\" x2=\"{width}\" y2=\"{height}\" stroke=\"#5b6478\"/></svg>"),
    );
    svg
}

/// Text in the place of markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_markup() {
        assert_eq!(escaped("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
        let bins = [Bin { name: "<script>".to_owned(), before: 3, after: 1 }];
        assert!(!plot(&bins).contains("<script>"), "{}", plot(&bins));
    }

    #[test]
    fn an_empty_plot_has_no_bars() {
        assert!(!plot(&[]).contains("<rect"));
        let bins = [Bin { name: "null".to_owned(), before: 0, after: 0 }];
        assert!(!plot(&bins).contains("NaN"), "{}", plot(&bins));
    }
}
