use std::{fs, time::Duration};

use crate::setup::{copy_shipped, crate_dir};

/// The console blocks of the README, run from top to bottom in a folder with the demo's flights.
#[test]
fn the_readme_tells_what_happens() {
    let work = tempfile::tempdir().expect("a temporary folder");
    let folder = work.path().join("README.in");
    fs::create_dir(&folder).expect("a folder beside the copy of the README");
    copy_shipped(&folder);
    let readme = work.path().join("README.md");
    fs::copy(crate_dir().join("../../README.md"), &readme).expect("the README");
    // Whatever the caller's environment says, the example uses its own folder.
    let cases = trycmd::TestCases::new();
    cases.case(&readme).env("OAST_DATA", "oast-data").timeout(Duration::from_secs(300)).run();
}
