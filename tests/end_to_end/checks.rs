//! The checks before publication: the standard plugins pass them, and a plugin that breaks a law is shown the rows.

use std::fs;

use oast_engine::CheckReport;
use oast_runtime::{attach_samples, check_plugin};

use crate::support::repository;

fn golden(name: &str) -> String {
    fs::read_to_string(repository(&format!("plugins/{name}/golden.json"))).expect("golden.json can be read")
}

fn checked(name: &str) -> CheckReport {
    let component = oast_plugins::plugin(name).expect("a standard plugin").component;
    check_plugin(component, Some(&golden(name))).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_standard_plugins_keep_their_laws() {
    for plugin in oast_plugins::standard() {
        let begun = std::time::Instant::now();
        let report = checked(plugin.name);
        eprintln!("{} {} uses {:?}", plugin.name, report.uses.len(), begun.elapsed());
        for used in &report.uses {
            eprintln!("   {} {:?} {:?}", used.name, used.outcomes, used.costs);
            for c in &used.checks {
                eprintln!("        {}: {}", c.name, c.ran);
            }
        }
        assert!(report.passed());
        let golden = golden(plugin.name);
        let with_samples = attach_samples(plugin.component, &golden).expect("a component takes samples");
        let carried = check_plugin(&with_samples, None).expect("it keeps its laws");
        assert_eq!(carried.uses.len(), report.uses.len(), "the samples it carries are those of the file");
    }
}
